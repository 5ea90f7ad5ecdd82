/** A network with IPv4 and IPv6: both at once, and IPv6 without the wait for duplicates. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { addressesOf, addressViews, routesOf } from "./kernel_view.ts"
import { inNetns, Lab, pings, SEED_CONF } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ configs: [dualStackYaml()] })
})
afterAll(() => lab.close())

const call = { conf: DUAL_CONF }

test("a container gets both addresses, both gateways and both default routes", async () => {
  const { result } = await attached(lab, "dual", call)
  const addresses = await addressesOf("eth0", "dual")
  expect(addresses).toHaveLength(2)
  expect(addresses[0]).toMatch(/^10\.52\.\d+\.\d+\/16$/)
  expect(addresses[1]).toMatch(/^fd00:52::[0-9a-f]+\/64$/)
  expect(result.ips).toMatchObject([
    { address: addresses[0] ?? "", gateway: "10.52.0.1" },
    { address: addresses[1] ?? "", gateway: "fd00:52::1" },
  ])
  expect(result.routes).toEqual([
    { dst: "0.0.0.0/0", gw: "10.52.0.1" },
    { dst: "::/0", gw: "fd00:52::1" },
  ])
  const defaults = async (family: 4 | 6) =>
    (await routesOf("dual", family)).filter(({ dst }) => dst === "default")
  expect(await defaults(4)).toMatchObject([{ gateway: "10.52.0.1", dev: "eth0" }])
  expect(await defaults(6)).toMatchObject([{ gateway: "fd00:52::1", dev: "eth0" }])
  expect(await addressesOf("edge0")).toEqual(["10.52.0.1/16", "fd00:52::1/64"])
  await removed(lab, "dual", call)
  await expectNothingLeft(lab)
})

test("IPv6 works with the first packet after ADD, in both directions", async () => {
  const one = await attached(lab, "one", call)
  const gateway = await inNetns("one", "ping", "-c", "1", "-W", "1", "fd00:52::1")
  expect(gateway.status).toBe(0)
  const two = await attached(lab, "two", call)
  const [, address = ""] = (two.result.ips ?? []).map((ip) => ip.address.split("/")[0] ?? "")
  const first = await inNetns("one", "ping", "-c", "1", "-W", "1", address)
  expect(first.status).toBe(0)
  expect(await pings("two", one.result.ips?.[1]?.address.split("/")[0] ?? "")).toBe(true)
  expect(await pings("one", two.address)).toBe(true)
  for (const id of ["one", "two"]) await removed(lab, id, call)
})

test("no address waits for a duplicate, the container's link-local and the gateway's included", async () => {
  await attached(lab, "quick", call)
  const inside = await addressViews("eth0", "quick")
  expect(inside.filter(({ family }) => family === "inet6")).toHaveLength(2)
  const gateways = (await addressViews("edge0")).filter(({ scope }) => scope === "global")
  expect(gateways).toHaveLength(2)
  for (const view of [...inside, ...gateways]) {
    expect(view.tentative).toBeUndefined()
    expect(view.dadfailed).toBeUndefined()
  }
  await removed(lab, "quick", call)
})

test("an address of each family can be asked for, alone or together", async () => {
  for (const [ips, expected] of [
    [["fd00:52::abc"], /^10\.52\.\d+\.\d+\/16,fd00:52::abc\/64$/],
    [["10.52.5.5"], /^10\.52\.5\.5\/16,fd00:52::[0-9a-f]+\/64$/],
    [["fd00:52::5", "10.52.5.6"], /^10\.52\.5\.6\/16,fd00:52::5\/64$/],
  ] as const) {
    const conf = { ...DUAL_CONF, runtimeConfig: { ips } }
    await attached(lab, "wish", { conf })
    expect((await addressesOf("eth0", "wish")).join(",")).toMatch(expected)
    await removed(lab, "wish", { conf })
  }
  await expectNothingLeft(lab)
})

test("a namespace in which IPv6 was turned off gets it turned on", async () => {
  await lab.netns("off")
  await inNetns("off", "sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1")
  await lab.add("off", call)
  expect(await addressesOf("eth0", "off")).toHaveLength(2)
  expect(await pings("off", "fd00:52::1")).toBe(true)
  await removed(lab, "off", call)
})

test("the result before 0.3.0 has both families", async () => {
  const conf = { ...DUAL_CONF, cniVersion: "0.2.0" }
  await lab.netns("old")
  expect<unknown>(await lab.add("old", { conf })).toMatchObject({
    ip4: { gateway: "10.52.0.1", routes: [{ dst: "0.0.0.0/0", gw: "10.52.0.1" }] },
    ip6: { gateway: "fd00:52::1", routes: [{ dst: "::/0", gw: "fd00:52::1" }] },
  })
  await removed(lab, "old", { conf })
})

test("a configuration that names no subnet is served by the agent's network", async () => {
  const { bridgeSubnet: _, ...bare } = SEED_CONF
  const conf = { ...bare, name: "plain", bridge: "edge0" }
  const { result } = await attached(lab, "plain", { conf })
  expect(result.ips?.map(({ gateway }) => gateway)).toEqual(["10.52.0.1", "fd00:52::1"])
  await removed(lab, "plain", { conf })
  await expectNothingLeft(lab)
})
