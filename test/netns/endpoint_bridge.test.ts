import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { createPort } from "../../src/endpoint/create_port.ts"
import { LariatError } from "../../src/errors.ts"
import { Fixture } from "./endpoint_fixture.ts"
import { ip, ipJson } from "./guard.ts"

let fixture: Fixture

beforeEach(() => {
  fixture = new Fixture()
})
afterEach(() => fixture.close())

function addressesOf(name: string): string[] {
  const infos = ipJson("addr", "show", "dev", name)[0]?.addr_info as Record<string, unknown>[]
  return infos.map((info) => `${info.local}/${info.prefixlen}`)
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof LariatError) return error.code
    throw error
  }
  return "nothing was thrown"
}

describe("ensureBridge", () => {
  test("makes a bridge as asked for", () => {
    const bridge = fixture.bridge({ promisc: true, mtu: 1450 })
    expect(bridge).toMatchObject({
      name: "br0",
      mac: "02:00:02:00:00:01",
      mtu: 1450,
      created: true,
      addedAddresses: ["10.42.0.1/16", "fd00:42::1/64"],
    })
    const [seen] = ipJson("-details", "link", "show", "dev", "br0")
    expect(seen).toMatchObject({ ifindex: bridge.index, address: bridge.mac, mtu: 1450 })
    expect(seen?.flags).toEqual(expect.arrayContaining(["UP", "PROMISC"]))
    expect(addressesOf("br0")).toEqual(expect.arrayContaining(["10.42.0.1/16", "fd00:42::1/64"]))
  })

  test("a second call changes nothing", () => {
    const first = fixture.bridge()
    const second = fixture.bridge()
    expect(second).toEqual({ ...first, created: false, addedAddresses: [] })
  })

  test("gives a random, locally administered MAC where none is asked for", () => {
    const { mac } = fixture.bridge({ mac: undefined })
    expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2)
  })

  test("the MAC stays as ports come, of a bridge made here and of one found", () => {
    // 00:… is lower than any MAC of the bridge: a bridge without one of its own would take it.
    const low = "00:00:00:00:00:01"
    const made = fixture.bridge()
    ip("link", "add", "found0", "type", "bridge")
    const found = fixture.bridge({ name: "found0", create: false, addresses: [] })
    for (const name of ["br0", "found0"]) {
      ip("link", "add", `${name}p`, "address", low, "type", "veth", "peer", "name", `${name}q`)
      ip("link", "set", `${name}p`, "master", name)
    }
    expect(fixture.kernel.link("br0")?.mac).toBe(made.mac)
    expect(fixture.kernel.link("found0")?.mac).toBe(found.mac)
    ip("link", "del", "br0p")
    ip("link", "del", "found0p")
  })

  test("adds its address behind those that are there, as on docker0", () => {
    ip("link", "add", "docker0", "type", "bridge")
    ip("addr", "add", "172.17.0.1/16", "dev", "docker0")
    const bridge = fixture.bridge({ name: "docker0", addresses: ["10.42.0.1/16"] })
    expect(bridge).toMatchObject({ created: false, addedAddresses: ["10.42.0.1/16"] })
    expect(bridge.addresses.slice(0, 2)).toEqual(["172.17.0.1/16", "10.42.0.1/16"])
    expect(addressesOf("docker0").slice(0, 2)).toEqual(["172.17.0.1/16", "10.42.0.1/16"])
  })

  test("adds an IPv6 address where IPv6 was switched off", async () => {
    ip("link", "add", "br0", "type", "bridge")
    await Bun.write("/proc/sys/net/ipv6/conf/br0/disable_ipv6", "1")
    expect(fixture.bridge().addedAddresses).toContain("fd00:42::1/64")
    expect(addressesOf("br0")).toContain("fd00:42::1/64")
  })

  test("a missing bridge that may not be made, with a word on Docker", () => {
    expect(() => fixture.bridge({ name: "docker0", create: false })).toThrow(LariatError)
    try {
      fixture.bridge({ name: "docker0", create: false })
    } catch (error) {
      expect(error).toMatchObject({ code: "bridge-invalid" })
      expect((error as LariatError).hint).toContain("Docker")
    }
  })

  test("another kind of link is no bridge", () => {
    ip("link", "add", "br0", "type", "veth", "peer", "name", "other")
    expect(codeOf(() => fixture.bridge())).toBe("bridge-invalid")
    expect(codeOf(() => fixture.bridge({ name: "lo" }))).toBe("bridge-invalid")
    ip("link", "del", "br0")
  })

  test("undoes what it made when an address is impossible", () => {
    expect(codeOf(() => fixture.bridge({ addresses: ["10.42.0.1/16", "10.42.0.300/16"] }))).toBe(
      "config-invalid",
    )
    expect(fixture.kernel.link("br0")).toBeUndefined()
    ip("link", "add", "br0", "type", "bridge")
    expect(codeOf(() => fixture.bridge({ addresses: ["10.42.0.1/16", "nonsense"] }))).toBe(
      "config-invalid",
    )
    expect(addressesOf("br0")).not.toContain("10.42.0.1/16")
  })

  test("refuses the port after the last, before trying", () => {
    const bridge = fixture.bridge({ addresses: [] })
    const netns = fixture.netns("full")
    fixture.ports(netns, bridge.index, 1023)
    const last = fixture.spec(2000, bridge.index, { ifname: "last", addresses: [], routes: [] })
    expect(codeOf(() => createPort(fixture.kernel, netns, last))).toBe("bridge-full")
    expect(fixture.kernel.link(last.hostName)).toBeUndefined()
    expect(fixture.kernel.links({ master: bridge.index }).length).toBe(1023)
  }, 120_000)

  test("the kernel's own refusal of a full bridge has the same code", () => {
    const bridge = fixture.bridge({ addresses: [] })
    const netns = fixture.netns("full")
    fixture.ports(netns, bridge.index, 1022)
    // A port that this process does not know of.
    ip("link", "add", "foreign", "type", "veth", "peer", "name", "other")
    ip("link", "set", "foreign", "master", "br0")
    const last = fixture.spec(2000, bridge.index, { ifname: "last", addresses: [], routes: [] })
    expect(codeOf(() => createPort(fixture.kernel, netns, last))).toBe("bridge-full")
    expect(fixture.kernel.link(last.hostName)).toBeUndefined()
    ip("link", "del", "foreign")
  }, 120_000)
})
