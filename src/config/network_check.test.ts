import { describe, expect, test } from "bun:test"
import { driver, load } from "../../test/fixtures/config/loading.ts"

const saidOf = (lines: Parameters<typeof driver>[0]) => load(driver(lines)).said.join("\n")

describe("what an attach would refuse is an error", () => {
  test.each([
    ["block_size: 8", "error: block_size 8 is larger than the subnet 10.42.0.0/16"],
    ["block_size: 30", undefined],
    ["driver: wireguard\nport: 65521", "error: port 65521 leaves no room for the 16 networks"],
    ["driver: wireguard\nport: 65520", undefined],
    ["driver: ipsec\nport: 65535", undefined],
    ["driver: vxlan\nvni: 16777201", "error: vni 16777201 leaves no room for the 16 networks"],
  ])("of the driver %j: %p", (lines, message) => {
    if (message === undefined) expect(saidOf({ driver: lines })).toBe("")
    else expect(saidOf({ driver: lines })).toContain(message)
  })

  test("more blocks than a subnet is cut into", () => {
    const network = "subnets: [{network_address: 10.0.0.0/8}]"
    expect(saidOf({ network, driver: "block_size: 25" })).toContain(
      "error: block_size 25 cuts 10.0.0.0/8 into 131072 blocks, 65536 are the most",
    )
    const part = "subnets: [{network_address: 10.0.0.0/8, end_address: 10.127.0.0}]"
    expect(saidOf({ network: part, driver: "block_size: 25" })).toBe("")
  })

  const ipam = (keys: string) => `ipam: {type: lariat-cni, ${keys}}`
  const gateway = "isDefaultGateway: true"
  const outside = "is not on the containers' link"
  test.each([
    [ipam("routes: [{dst: 0.0.0.0/0, gw: 10.9.0.1}]"), `10.9.0.1 to 0.0.0.0/0 ${outside}`],
    [ipam("routes: [{dst: 10.9.0.0/16, gw: 10.42.9.1}]"), undefined],
    [
      ipam("routes: [{dst: 10.9.0.0/16, gw: 'fd00::1'}]"),
      "has the next hop fd00::1 of the other family",
    ],
    [ipam("routes: [{dst: 'fd00:9::/64', gw: 'fd00::1'}]"), `fd00::1 to fd00:9::/64 ${outside}`],
    [
      `${gateway}\n${ipam("routes: [{dst: 0.0.0.0/0, gw: 10.42.9.1}]")}`,
      "the default route has the next hop 10.42.9.1, and isDefaultGateway makes it 10.42.0.1",
    ],
    [`${gateway}\n${ipam("routes: [{dst: 0.0.0.0/0, gw: 10.42.0.1}]")}`, undefined],
    [
      `${gateway}\n${ipam("subnetPrefixSize: /24")}`,
      "containers of 10.42.0.0/16 do not have their gateway 10.42.0.1 on their link",
    ],
    [ipam("subnetPrefixSize: /24"), undefined],
    [`${gateway}\n${ipam("subnetPrefixSize: /8")}`, undefined],
    [ipam("subnetPrefixSize: /64"), "subnetPrefixSize /64 is no prefix length of IPv4"],
    [ipam("subnet: 10.42.0.0/31"), "the prefix length 31 leaves no address for a container"],
    ["mtu: 600\nlinkMTUOverhead: 98", "mtu 600 less linkMTUOverhead 98 leaves 502 bytes"],
  ])("of the configuration %j: %p", (conf, message) => {
    if (message === undefined) expect(saidOf({ conf })).toBe("")
    else expect(saidOf({ conf })).toMatch(new RegExp(`: error: .*${message}`))
  })

  test("an MTU that the driver's own bytes leave too little of, for IPv6", () => {
    const network = "subnets: [{network_address: 'fd00::/64'}]"
    const lines = { network, driver: "driver: vxlan", conf: "mtu: 1300" }
    expect(saidOf(lines)).toContain(
      "error: mtu 1300 less the 50 bytes of vxlan leaves 1250 bytes, IPv6 needs 1280",
    )
    expect(saidOf({ ...lines, conf: "mtu: 1330" })).toBe("")
  })
})

test("an overhead that only some links have room for is a warning", () => {
  expect(saidOf({ conf: "linkMTUOverhead: 1000" })).toContain(
    "warning: a link of 1500 bytes less linkMTUOverhead 1000 leaves 500 bytes",
  )
})

test("a network that needs a key, and other hosts but none", () => {
  const files = (settings: string, kind = "ipsec") =>
    load({ "a.yml": driver({ driver: `driver: ${kind}` }), "b.yml": `agent: {${settings}}` }).said
  const store = "store: 'http://192.0.2.1:2379'"
  expect(files(store)).toEqual([
    expect.stringContaining("warning: network one reaches no other host"),
  ])
  expect(files(`${store}, pskFile: /psk`)).toEqual([])
  expect(files(store, "vxlan")).toEqual([])
  expect(files("logLevel: info")).toEqual([])
})
