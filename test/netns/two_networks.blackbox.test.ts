/** A container in two networks is one container, and stays whole when it leaves one of them. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { attached, expectNothingLeft, getMetadata, removed } from "./container.ts"
import { askFrom, dataOf } from "./dns_client.ts"
import { routesOf } from "./kernel_view.ts"
import { Lab, pings, SEED, SEED_CONF } from "./lab.ts"
import { yamlFile } from "./networks.ts"

const SECOND = yamlFile(`
second:
  network_driver:
    driver: none
    default_network:
      name: second
      subnets:
      - network_address: 10.43.0.0/16
    cni_config:
      10-second.conf: {name: second, type: rancher-bridge, bridge: second0, bridgeSubnet: 10.43.0.0/16, isDefaultGateway: true, ipam: {type: rancher-cni-ipam}}
`)
const SECOND_CONF = {
  ...SEED_CONF,
  name: "second",
  bridge: "second0",
  bridgeSubnet: "10.43.0.0/16",
}

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({
    configs: [SEED, SECOND],
    settings: { createBridge: "always", quarantine: "1s" },
  })
})
afterAll(() => lab.close())

const named = (name: string) => ({ args: `IgnoreUnknown=1;K8S_POD_NAME=${name}` })
const ipsOf = async (name: string) =>
  (await getMetadata("one", `/latest/containers/${name}/ips`)).body
const WEB = "web.rancher.internal"

test("metadata and DNS know all of it, and each asker gets the address that it reaches", async () => {
  const first = await attached(lab, "both", named("web"))
  const answer = await lab.add("both", { ...named("web"), ifname: "eth1", conf: SECOND_CONF })
  const second = answer.ips?.[0]?.address.split("/")[0] ?? ""
  await attached(lab, "one", named("one"))
  await attached(lab, "two", { ...named("two"), conf: SECOND_CONF })
  for (const [index, address] of [first.address, second].entries()) {
    expect((await getMetadata("one", `/latest/containers/web/ips/${index}`)).body).toBe(address)
  }
  expect((await getMetadata("one", "/latest/containers")).body.match(/=web/g)).toHaveLength(1)
  expect(dataOf(await askFrom("one", WEB))).toEqual([first.address])
  expect(dataOf(await askFrom("two", WEB))).toEqual([second])
  const reverse = (address: string) => `${address.split(".").reverse().join(".")}.in-addr.arpa`
  for (const address of [first.address, second]) {
    const answered = dataOf(await askFrom("one", reverse(address), { type: "PTR" }))
    expect(answered).toEqual([WEB])
  }
  expect((await getMetadata("both", "/latest/self/container/name")).body).toBe("web")
  expect((await routesOf("both")).filter(({ dst }) => dst === "default")).toMatchObject([
    { dev: "eth0" },
  ])
  await lab.del("both")
  expect((await routesOf("both")).filter(({ dst }) => dst === "default")).toMatchObject([
    { dev: "eth1", gateway: "10.43.0.1" },
  ])
  expect(await pings("both", "10.43.0.1")).toBe(true)
  expect(dataOf(await askFrom("one", WEB))).toEqual([second])
  expect(dataOf(await askFrom("one", reverse(first.address), { type: "PTR" }))).toEqual([])
  expect((await getMetadata("one", "/latest/containers/web/primary_ip")).body).toBe(second)
  expect((await getMetadata("both", "/latest/self/container/name")).body).toBe("web")
  expect(await ipsOf("web")).not.toContain("1=")
  await removed(lab, "both", { ifname: "eth1", conf: SECOND_CONF })
  expect((await getMetadata("one", "/latest/containers/web/name")).status).toBe(404)
  await removed(lab, "one")
  await removed(lab, "two", { conf: SECOND_CONF })
  await expectNothingLeft(lab)
})
