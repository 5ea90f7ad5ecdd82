/**
 * A container that Docker attached keeps its Docker address and gets the managed one beside it,
 * on the same interface: "assigned both a Docker bridge IP and a Rancher managed IP".
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { run } from "../clients/program.ts"
import { attach, attached, expectNothingLeft, getMetadata, removed } from "./container.ts"
import { askFrom, dataOf } from "./dns_client.ts"
import { addressesOf, linkNames, mustLink, routesOf } from "./kernel_view.ts"
import { ipIn, Lab, ownLinks, pings, SEED_CONF } from "./lab.ts"

const DOCKER_MAC = "02:42:ac:11:00:01"

let lab: Lab
beforeAll(async () => {
  await run(["ip", "link", "add", "docker0", "address", DOCKER_MAC, "type", "bridge"])
  await run(["ip", "address", "add", "172.17.0.1/16", "dev", "docker0"])
  await run(["ip", "link", "set", "docker0", "up"])
  lab = await Lab.start({ settings: { createBridge: "auto", quarantine: "1s" } })
})
afterAll(() => lab.close())

/** A namespace with eth0 as dockerd makes it: a veth pair, an address, a default route. */
async function dockerContainer(name: string, address: string, bridge = "docker0"): Promise<void> {
  await lab.netns(name)
  const peer = ["type", "veth", "peer", "name", "eth0", "netns", name]
  await run(["ip", "link", "add", `veth${name}`, "master", bridge, ...peer])
  await run(["ip", "link", "set", `veth${name}`, "up"])
  for (const link of ["lo", "eth0"]) await ipIn(name, "link", "set", link, "up")
  await ipIn(name, "address", "add", `${address}/16`, "dev", "eth0")
  await ipIn(name, "route", "add", "default", "via", "172.17.0.1")
}

describe("a container of Docker's", () => {
  beforeAll(() => dockerContainer("dock", "172.17.0.2"))
  afterAll(() => lab.deleteNetns("dock"))

  test("gets the managed address beside its own; its default route stays", async () => {
    const links = await linkNames()
    const { address, result } = await attach(lab, "dock")
    expect(await addressesOf("eth0", "dock")).toEqual(["172.17.0.2/16", `${address}/16`])
    const defaults = (await routesOf("dock")).filter(({ dst }) => dst === "default")
    expect(defaults).toMatchObject([{ gateway: "172.17.0.1", dev: "eth0" }])
    expect(await linkNames()).toEqual(links)
    expect(await ownLinks()).toEqual([])
    const eth0 = await mustLink("eth0", "dock")
    expect(eth0.mtu).toBe(1402)
    expect((await mustLink("vethdock")).mtu).toBe(1402)
    expect(result.interfaces).toMatchObject([
      { name: "docker0" },
      { name: "vethdock" },
      { name: "eth0", mac: eth0.address, sandbox: "/run/netns/dock" },
    ])
    expect(await lab.endpoints()).toMatchObject([
      { containerId: "dock", kind: "adopted", addresses: [`${address}/16`] },
    ])
  })

  test("docker0 keeps its own address as the first one, and its MAC", async () => {
    expect(await addressesOf("docker0")).toEqual(["172.17.0.1/16", "10.42.0.1/16"])
    expect((await mustLink("docker0")).address).toBe(DOCKER_MAC)
  })

  test("is reached at both addresses, and reaches managed containers", async () => {
    const managed = await attached(lab, "managed")
    const own = (await addressesOf("eth0", "dock"))[1]?.split("/")[0] ?? ""
    expect(await pings("managed", own)).toBe(true)
    expect(await pings("dock", managed.address)).toBe(true)
    expect(await pings("dock", "10.42.0.1")).toBe(true)
    expect(await pings("dock", "172.17.0.1")).toBe(true)
    await run(["ping", "-c", "1", "-W", "2", "172.17.0.2"])
    await removed(lab, "managed")
  })

  test("is known to the metadata API, whichever of its addresses it asks from", async () => {
    const answer = await getMetadata("dock", "/latest/self/container/external_id")
    expect(answer).toEqual({ status: 200, body: "dock" })
  })

  test("is answered by DNS, whichever of its addresses it asks from", async () => {
    const [endpoint] = await lab.endpoints()
    const [address = ""] = endpoint?.addresses[0]?.split("/") ?? []
    expect(dataOf(await askFrom("dock", "dock"))).toEqual([address])
  })

  test("gets no answer of DNS from one of Docker's addresses that is no container's", async () => {
    await dockerContainer("plain", "172.17.0.9")
    expect(await askFrom("plain", "dock", { waitSeconds: 1 })).toBeUndefined()
    const { address } = await attach(lab, "plain")
    expect(dataOf(await askFrom("plain", "plain"))).toEqual([address])
    await removed(lab, "plain")
  })

  test("passes CHECK", async () => {
    const [endpoint] = await lab.endpoints()
    const address = endpoint?.addresses[0] ?? ""
    const prevResult = { cniVersion: "1.1.0", ips: [{ address }] }
    const answer = await lab.plugin("CHECK", { id: "dock", conf: { ...SEED_CONF, prevResult } })
    expect(answer).toMatchObject({ status: 0, stdout: "" })
  })

  test("is still known after the agent started again", async () => {
    const before = await lab.endpoints()
    await lab.stopAgent()
    await lab.startAgent()
    expect(await lab.endpoints()).toEqual(before)
    expect(await addressesOf("eth0", "dock")).toHaveLength(2)
  })

  test("keeps what is Docker's when it is detached", async () => {
    await lab.del("dock")
    expect(await addressesOf("eth0", "dock")).toEqual(["172.17.0.2/16"])
    const routes = await routesOf("dock")
    expect(routes.find(({ dst }) => dst === "default")?.gateway).toBe("172.17.0.1")
    expect(routes.some(({ dst }) => dst.startsWith("10.42."))).toBe(false)
    expect(await mustLink("eth0", "dock")).toMatchObject({ operstate: "UP" })
    expect(await pings("dock", "172.17.0.1")).toBe(true)
    await expectNothingLeft(lab)
  })

  test("can be attached again, with a MAC of the caller's", async () => {
    const call = { args: "MACAddress=02:00:00:00:0d:01" }
    const { address } = await attach(lab, "dock", call)
    expect((await mustLink("eth0", "dock")).address).toBe("02:00:00:00:0d:01")
    expect(await addressesOf("eth0", "dock")).toEqual(["172.17.0.2/16", `${address}/16`])
    expect(await pings("dock", "172.17.0.1")).toBe(true)
    await lab.del("dock", call)
    await expectNothingLeft(lab)
  })

  test("twice is refused and changes nothing", async () => {
    await attach(lab, "dock")
    const before = await addressesOf("eth0", "dock")
    expect((await lab.plugin("ADD", { id: "dock" })).json.code).toBe(102)
    expect((await lab.plugin("ADD", { id: "other", netns: "/run/netns/dock" })).json.code).toBe(102)
    expect(await addressesOf("eth0", "dock")).toEqual(before)
    await lab.del("dock")
    await expectNothingLeft(lab)
  })
})

test("an eth0 on another bridge is not touched", async () => {
  await run(["ip", "link", "add", "other0", "up", "type", "bridge"])
  await dockerContainer("foreign", "172.17.0.9", "other0")
  const before = await mustLink("eth0", "foreign")
  const answer = await lab.plugin("ADD", { id: "foreign" })
  expect(answer.status).not.toBe(0)
  expect(answer.json.code).toBe(102)
  expect(answer.json.msg).toContain("eth0")
  expect(await addressesOf("eth0", "foreign")).toEqual(["172.17.0.9/16"])
  expect(await mustLink("eth0", "foreign")).toEqual(before)
  await expectNothingLeft(lab)
  await lab.deleteNetns("foreign")
})

test("a row of a Docker container that went away is released", async () => {
  await dockerContainer("short", "172.17.0.3")
  await attach(lab, "short")
  await lab.deleteNetns("short")
  await lab.del("short")
  await expectNothingLeft(lab)
})
