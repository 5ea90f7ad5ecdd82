/** What a runtime asks for by name is given or refused with the reason, never replaced. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { addressesOf, linkNames, mustLink, routesOf } from "./kernel_view.ts"
import { type Conf, Lab, type PluginCall, pings, SEED_CONF } from "./lab.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start()
})
afterAll(() => lab.close())

const withRuntime = (runtimeConfig: Conf): Conf => ({ ...SEED_CONF, runtimeConfig })
const withCniArgs = (cni: Conf): Conf => ({ ...SEED_CONF, args: { cni } })

describe("a requested address is given", () => {
  test.each<[string, PluginCall, string]>([
    ["capability ips", { conf: withRuntime({ ips: ["10.42.7.1/16"] }) }, "10.42.7.1/16"],
    ["capability ips, bare", { conf: withRuntime({ ips: ["10.42.7.2"] }) }, "10.42.7.2/16"],
    ["args.cni.ips", { conf: withCniArgs({ ips: ["10.42.7.3"] }) }, "10.42.7.3/16"],
    ["IPAddress", { args: "IPAddress=10.42.7.4" }, "10.42.7.4/16"],
    ["IPAddress with its prefix", { args: "IPAddress=10.42.7.5/16" }, "10.42.7.5/16"],
    ["IPAddress with another prefix", { args: "IPAddress=10.42.7.6/24" }, "10.42.7.6/24"],
    ["IP", { args: "IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.42.7.7" }, "10.42.7.7/16"],
    [
      "subnetPrefixSize",
      { conf: { ...SEED_CONF, ipam: { type: "rancher-cni-ipam", subnetPrefixSize: "/20" } } },
      "/20",
    ],
  ])("by %s", async (_, call, expected) => {
    const { result } = await attached(lab, "asked", call)
    const [address = ""] = await addressesOf("eth0", "asked")
    expect(address).toEndWith(expected)
    expect(result.ips).toMatchObject([{ address, gateway: "10.42.0.1" }])
    expect(await pings("asked", "10.42.0.1")).toBe(true)
    await removed(lab, "asked", call)
    await expectNothingLeft(lab)
  })

  test("also out of its rest, to a container that comes back with it", async () => {
    const call = { args: "IPAddress=10.42.7.8" }
    for (let round = 0; round < 3; round++) {
      const { address } = await attached(lab, "back", call)
      expect(address).toBe("10.42.7.8")
      await removed(lab, "back")
    }
  })

  test("and no other container gets it", async () => {
    await attached(lab, "next0")
    const following = addressAfter((await addressesOf("eth0", "next0"))[0] ?? "")
    await attached(lab, "keeper", { args: `IPAddress=${following}` })
    const { address } = await attached(lab, "next1")
    expect(address).not.toBe(following)
    for (const id of ["next0", "keeper", "next1"]) await removed(lab, id)
  })
})

describe("a requested address is refused", () => {
  beforeAll(() => attached(lab, "owner", { args: "IPAddress=10.42.9.9" }))
  afterEach(() => lab.deleteNetns("refused"))
  afterAll(async () => {
    await removed(lab, "owner")
    await expectNothingLeft(lab)
  })

  test.each<[string, PluginCall, number, RegExp]>([
    ["that a container has", { args: "IPAddress=10.42.9.9" }, 103, /10\.42\.9\.9.*owner/],
    ["that is the gateway", { args: "IP=10.42.0.1" }, 103, /10\.42\.0\.1.*gateway/],
    ["of another subnet", { args: "IP=10.43.0.9" }, 104, /10\.43\.0\.9/],
    ["that is the broadcast address", { args: "IP=10.42.255.255" }, 104, /10\.42\.255\.255/],
    ["that is the network's address", { args: "IP=10.42.0.0" }, 104, /10\.42\.0\.0/],
    ["of a family without subnet", { conf: withRuntime({ ips: ["fd00::9"] }) }, 104, /fd00::9/],
    [
      "when one of two cannot be given",
      { conf: withRuntime({ ips: ["10.42.9.10", "10.42.9.9"] }) },
      103,
      /10\.42\.9\.9/,
    ],
  ])("%s", async (_, call, code, words) => {
    await lab.netns("refused")
    const before = (await lab.status()).networks[0]?.subnets[0]?.used
    const answer = await lab.plugin("ADD", { ...call, id: "refused" })
    expect(answer.status).not.toBe(0)
    expect(answer.json.code).toBe(code)
    expect(answer.json.msg).toMatch(words)
    expect(answer.stderr).toMatch(words)
    expect(await linkNames("refused")).toEqual(["lo"])
    expect((await lab.endpoints()).map(({ containerId }) => containerId)).toEqual(["owner"])
    expect((await lab.status()).networks[0]?.subnets[0]?.used).toBe(before)
  })
})

describe("a requested MAC", () => {
  test.each<[string, PluginCall, string]>([
    ["capability mac", { conf: withRuntime({ mac: "02:11:22:33:44:55" }) }, "02:11:22:33:44:55"],
    ["MAC", { args: "MAC=02:11:22:33:44:56" }, "02:11:22:33:44:56"],
    ["MACAddress", { args: "MACAddress=02:11:22:33:44:5A" }, "02:11:22:33:44:5a"],
    [
      "capability mac before MACAddress",
      { conf: withRuntime({ mac: "02:11:22:33:44:57" }), args: "MACAddress=02:00:00:00:00:01" },
      "02:11:22:33:44:57",
    ],
  ])("is given, by %s", async (_, call, mac) => {
    const { result } = await attached(lab, "mac", call)
    expect((await mustLink("eth0", "mac")).address).toBe(mac)
    expect(result.interfaces?.find(({ name }) => name === "eth0")?.mac).toBe(mac)
    expect(await pings("mac", "10.42.0.1")).toBe(true)
    await removed(lab, "mac")
  })

  test.each<[string, PluginCall, number]>([
    ["a multicast MAC", { args: "MAC=01:00:5e:00:00:01" }, 4],
    ["what is no MAC", { args: "MACAddress=nonsense" }, 4],
    ["a MAC that is no MAC, by capability", { conf: withRuntime({ mac: "02:11" }) }, 7],
  ])("is refused: %s", async (_, call, code) => {
    await lab.netns("mac")
    const answer = await lab.plugin("ADD", { ...call, id: "mac" })
    expect(answer.json.code).toBe(code)
    expect(await linkNames("mac")).toEqual(["lo"])
    await lab.deleteNetns("mac")
    await expectNothingLeft(lab)
  })
})

describe("the link MTU", () => {
  test.each<[string, PluginCall, number]>([
    ["LinkMTUOverhead of the container", { args: "LinkMTUOverhead=50" }, 1450],
    ["LinkMTUOverhead 0, as the routers have", { args: "LinkMTUOverhead=0" }, 1500],
    ["an explicit mtu", { conf: { ...SEED_CONF, mtu: 1400 } }, 1302],
    ["mtu as text", { conf: { ...SEED_CONF, mtu: "1400", linkMTUOverhead: "100" } }, 1300],
    // AES-GCM over IPv4 in tunnel mode without UDP: what `lariat mtu` says.
    ["linkMTUOverhead auto", { conf: { ...SEED_CONF, linkMTUOverhead: "auto" } }, 1446],
  ])("follows %s", async (_, call, mtu) => {
    await attached(lab, "mtu", call)
    const { mtu: inside, link_index } = await mustLink("eth0", "mtu")
    expect(inside).toBe(mtu)
    const [endpoint] = await lab.endpoints()
    const outside = await mustLink(endpoint?.hostLink ?? "")
    expect(outside).toMatchObject({ mtu, ifindex: link_index ?? 0 })
    await removed(lab, "mtu")
  })
})

describe("dns in the result", () => {
  const dns = { nameservers: ["10.42.0.53"], domain: "edge.example", search: ["a.b"], options: [] }

  test.each<[string, Conf, object]>([
    [
      "is the seed's",
      SEED_CONF,
      {
        nameservers: ["169.254.169.250"],
        domain: "rancher.internal",
        search: ["rancher.internal"],
      },
    ],
    [
      "is the configuration's, with the seed's search behind its own",
      { ...SEED_CONF, dns },
      { ...dns, search: ["a.b", "rancher.internal"], options: undefined },
    ],
    [
      "is the runtime's, in the words of the convention",
      {
        ...SEED_CONF,
        dns,
        runtimeConfig: {
          dns: { servers: ["10.42.0.54"], searches: ["c.d"], options: ["ndots:2"] },
        },
      },
      {
        nameservers: ["10.42.0.54"],
        search: ["c.d", "rancher.internal"],
        options: ["ndots:2"],
      },
    ],
  ])("%s", async (_, conf, expected) => {
    const { result } = await attached(lab, "dns", { conf })
    expect(JSON.parse(JSON.stringify(expected))).toEqual(result.dns)
    await removed(lab, "dns")
  })
})

describe("names", () => {
  test.each<[string, PluginCall, string]>([
    ["the pod's name", { args: "IgnoreUnknown=1;K8S_POD_NAME=web-1" }, "web-1"],
    ["the first alias", { conf: withRuntime({ aliases: ["db", "postgres"] }) }, "db"],
    [
      "podman's aliases, by network",
      { conf: withRuntime({ aliases: { "rancher-cni-network": ["cache"], other: ["no"] } }) },
      "cache",
    ],
    ["the start of the id", {}, "names"],
  ])("of a container: %s", async (_, call, name) => {
    await attached(lab, "names", call)
    expect(await lab.endpoints()).toMatchObject([{ name }])
    await removed(lab, "names")
  })
})

test("routes of the configuration are made, a missing next hop is the gateway", async () => {
  const routes = [{ dst: "192.0.2.0/24" }, { dst: "198.51.100.0/24", gw: "10.42.0.9" }]
  const conf = { ...SEED_CONF, ipam: { type: "rancher-cni-ipam", routes } }
  const { result } = await attached(lab, "routes", { conf })
  expect(result.routes).toEqual([
    { dst: "192.0.2.0/24", gw: "10.42.0.1" },
    { dst: "198.51.100.0/24", gw: "10.42.0.9" },
    { dst: "0.0.0.0/0", gw: "10.42.0.1" },
  ])
  const made = await routesOf("routes")
  expect(made.find(({ dst }) => dst === "192.0.2.0/24")?.gateway).toBe("10.42.0.1")
  expect(made.find(({ dst }) => dst === "198.51.100.0/24")?.gateway).toBe("10.42.0.9")
  await removed(lab, "routes")
  await expectNothingLeft(lab)
})

test("an unknown argument is refused by name, and let pass with IgnoreUnknown", async () => {
  await lab.netns("args")
  const refused = await lab.plugin("ADD", { id: "args", args: "NoSuchKey=1" })
  expect(refused.json).toMatchObject({ code: 4 })
  expect(refused.json.msg).toContain("NoSuchKey")
  await lab.add("args", { args: "NoSuchKey=1;IgnoreUnknown=true" })
  await removed(lab, "args")
  await expectNothingLeft(lab)
})

/** The address that next-fit gives after this one. */
function addressAfter(text: string): string {
  const [address = ""] = text.split("/")
  const parts = address.split(".").map(Number)
  return [...parts.slice(0, 3), (parts[3] ?? 0) + 1].join(".")
}
