/** The main job with the seed's configuration: a container gets its address, and gives it back. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test"
import { run, waitFor } from "../clients/program.ts"
import { attach, attached, type Container, expectNothingLeft, removed } from "./container.ts"
import { addressesOf, addressViews, linkNames, mustLink, routesOf } from "./kernel_view.ts"
import { inNetns, Lab, ownLinks, pings, SEED_CONF } from "./lab.ts"

const LOCALLY_ADMINISTERED = /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/
const OWN_LINK = /^lrt[a-z2-7]{11}$/

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1m" } })
})
afterAll(() => lab.close())

/** The name of a container's end in the host, from its result. */
function hostLink({ result }: Container): string {
  return result.interfaces?.[1]?.name ?? ""
}

describe("an attached container", () => {
  let one: Container
  let two: Container
  beforeAll(async () => {
    one = await attached(lab, "one")
    two = await attached(lab, "two")
  })
  afterAll(async () => {
    await removed(lab, "one")
    await removed(lab, "two")
    await expectNothingLeft(lab)
  })

  test("has an address of the subnet, with the subnet's prefix", async () => {
    expect(one.address).toMatch(/^10\.42\.\d+\.\d+$/)
    expect(one.address).not.toBe(two.address)
    expect(await addressesOf("eth0", "one")).toEqual([`${one.address}/16`])
  })

  test("reaches everything by the gateway, which is on the bridge", async () => {
    const routes = await routesOf("one")
    expect(routes.find(({ dst }) => dst === "default")).toMatchObject({
      gateway: "10.42.0.1",
      dev: "eth0",
    })
    expect(await addressesOf("docker0")).toEqual(["10.42.0.1/16"])
    expect(await pings("one", "10.42.0.1")).toBe(true)
  })

  test("has the MTU on both ends, and a port on the bridge with hairpin", async () => {
    const inside = await mustLink("eth0", "one")
    const outside = await mustLink(hostLink(one))
    expect(inside).toMatchObject({ mtu: 1402, operstate: "UP" })
    expect(outside).toMatchObject({ mtu: 1402, operstate: "UP", master: "docker0" })
    expect(outside.ifname).toMatch(OWN_LINK)
    expect(outside.linkinfo?.info_slave_data).toMatchObject({ hairpin: true, state: "forwarding" })
    expect(inside.link_index).toBe(outside.ifindex)
  })

  test("carries a packet of the whole MTU and no larger one", async () => {
    // 20 bytes IPv4 header and 8 bytes ICMP header come on top.
    const sized = (bytes: number) =>
      inNetns("one", "ping", "-c", "1", "-W", "2", "-M", "do", "-s", `${bytes - 28}`, two.address)
    expect((await sized(1402)).status).toBe(0)
    expect((await sized(1403)).status).not.toBe(0)
  })

  test("speaks with the other container and with the host, both ways", async () => {
    expect(await pings("one", two.address)).toBe(true)
    expect(await pings("two", one.address)).toBe(true)
    await run(["ping", "-c", "1", "-W", "2", one.address])
  })

  test("has a MAC of its own; the bridge keeps its MAC when ports come", async () => {
    const inside = await mustLink("eth0", "one")
    expect(inside.address).toMatch(LOCALLY_ADMINISTERED)
    expect(inside.address).not.toBe((await mustLink("eth0", "two")).address)
    const bridge = await mustLink("docker0")
    // A bridge without a MAC of its own takes the lowest of its ports.
    const low = ["address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "low1"]
    await run(["ip", "link", "add", "low0", ...low])
    await run(["ip", "link", "set", "low0", "master", "docker0", "up"])
    expect((await mustLink("docker0")).address).toBe(bridge.address)
    await run(["ip", "link", "delete", "low0"])
    expect((await mustLink("docker0")).address).toBe(bridge.address)
  })

  test("leaves no link-local address on its port in the host", async () => {
    expect(await addressViews(hostLink(one))).toEqual([])
  })

  test("is listed by the agent as it is", async () => {
    const listed = (await lab.endpoints()).find(({ containerId }) => containerId === "one")
    expect(listed).toMatchObject({
      network: "rancher-cni-network",
      ifname: "eth0",
      kind: "port",
      state: "attached",
      addresses: [`${one.address}/16`],
      mac: (await mustLink("eth0", "one")).address,
      mtu: 1402,
      hostLink: hostLink(one),
    })
  })
})

describe("the result of ADD", () => {
  afterEach(async () => {
    await removed(lab, "shape")
    await expectNothingLeft(lab)
  })

  const route = { dst: "0.0.0.0/0", gw: "10.42.0.1" }

  test.each(["0.1.0", "0.2.0"])("in CNI %s", async (cniVersion) => {
    const { result } = await attached(lab, "shape", { conf: { ...SEED_CONF, cniVersion } })
    const [address] = await addressesOf("eth0", "shape")
    expect<unknown>(result).toEqual({
      cniVersion,
      ip4: { ip: address, gateway: "10.42.0.1", routes: [route] },
      dns: expect.any(Object),
    })
  })

  test.each(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])("in CNI %s", async (cniVersion) => {
    const { result } = await attached(lab, "shape", { conf: { ...SEED_CONF, cniVersion } })
    const bridge = await mustLink("docker0")
    const inside = await mustLink("eth0", "shape")
    const [port = ""] = await ownLinks()
    const outside = await mustLink(port)
    const sized = ({ mtu }: { mtu: number }) => (cniVersion === "1.1.0" ? { mtu } : {})
    const [address] = await addressesOf("eth0", "shape")
    const named = cniVersion.startsWith("0.") ? { version: "4" } : {}
    expect<unknown>(result).toEqual({
      cniVersion,
      interfaces: [
        { name: "docker0", mac: bridge.address, ...sized(bridge) },
        { name: port, mac: outside.address, ...sized(outside) },
        { name: "eth0", mac: inside.address, sandbox: "/run/netns/shape", ...sized(inside) },
      ],
      ips: [{ ...named, interface: 2, address, gateway: "10.42.0.1" }],
      routes: [route],
      dns: expect.any(Object),
    })
  })

  test("without a cniVersion is that of 0.1.0", async () => {
    const { cniVersion: _, ...conf } = SEED_CONF
    const { result } = await attached(lab, "shape", { conf })
    expect(result).toMatchObject({ cniVersion: "0.1.0", ip4: { gateway: "10.42.0.1" } })
  })
})

describe("DEL", () => {
  const figures = async () => (await lab.status()).networks[0]?.subnets[0]

  test("leaves no link and no row; the address rests and the next one is another", async () => {
    const before = await figures()
    const first = await attached(lab, "again")
    expect(await figures()).toMatchObject({ used: (before?.used ?? 0) + 1 })
    await lab.del("again")
    expect(await linkNames("again")).toEqual(["lo"])
    await expectNothingLeft(lab)
    const after = await figures()
    expect(after).toMatchObject({ used: before?.used, quarantined: (before?.quarantined ?? 0) + 1 })
    const second = await attach(lab, "again")
    expect(second.address).not.toBe(first.address)
    await removed(lab, "again")
  })

  test("succeeds when it comes again, without a namespace, and when the namespace is gone", async () => {
    await attached(lab, "twice")
    await lab.del("twice")
    await lab.del("twice")
    await lab.del("twice", { netns: "" })
    await lab.deleteNetns("twice")
    await lab.del("twice")
    await lab.del("never-there")
    await expectNothingLeft(lab)
  })

  test("without a namespace takes the port away too", async () => {
    await attached(lab, "empty")
    await lab.del("empty", { netns: "" })
    expect(await linkNames("empty")).toEqual(["lo"])
    await lab.deleteNetns("empty")
    await expectNothingLeft(lab)
  })

  test("of a container whose namespace went away first succeeds", async () => {
    await attached(lab, "vanished")
    await lab.deleteNetns("vanished")
    await lab.del("vanished")
    await waitFor("the link to go", async () =>
      (await ownLinks()).length === 0 ? true : undefined,
    )
    await expectNothingLeft(lab)
  })

  test("takes the result of ADD as prevResult, and any CNI_ARGS", async () => {
    const { result } = await attached(lab, "previous")
    await lab.del("previous", { conf: { ...SEED_CONF, prevResult: result }, args: "NoSuch=1" })
    await lab.deleteNetns("previous")
    await expectNothingLeft(lab)
  })
})

test("one container can have two interfaces, each detached on its own", async () => {
  const first = await attached(lab, "both")
  const second = await attach(lab, "both", { ifname: "net1" })
  expect(await addressesOf("net1", "both")).toEqual([`${second.address}/16`])
  // The first default route stays: the kernel has one of them.
  const defaults = (await routesOf("both")).filter(({ dst }) => dst === "default")
  expect(defaults).toMatchObject([{ dev: "eth0", gateway: "10.42.0.1" }])
  await lab.del("both", { ifname: "net1" })
  expect(await addressesOf("eth0", "both")).toEqual([`${first.address}/16`])
  expect(await pings("both", "10.42.0.1")).toBe(true)
  await removed(lab, "both")
  await expectNothingLeft(lab)
})

test("containers that come at the same moment each get an address of their own", async () => {
  const ids = Array.from({ length: 12 }, (_, index) => `many${index}`)
  for (const id of ids) await lab.netns(id)
  const all = await Promise.all(ids.map((id) => attach(lab, id)))
  expect(new Set(all.map(({ address }) => address)).size).toBe(ids.length)
  expect(await ownLinks()).toHaveLength(ids.length)
  await Promise.all(ids.map((id) => lab.del(id)))
  await expectNothingLeft(lab)
  for (const id of ids) await lab.deleteNetns(id)
})
