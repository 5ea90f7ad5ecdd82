/** A container that another engine put on docker0 gets the managed address beside its own. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { type AdoptSpec, adoptPort, releaseAdopted } from "../../src/endpoint/adopt_port.ts"
import type { Bridge } from "../../src/endpoint/bridge.ts"
import { checkPort } from "../../src/endpoint/check_port.ts"
import { createPort } from "../../src/endpoint/create_port.ts"
import { LariatError } from "../../src/errors.ts"
import type { Netns } from "../../src/sys/netns/netns.ts"
import { answers } from "./answers.ts"
import { Fixture } from "./endpoint_fixture.ts"
import { ip, ipJson } from "./guard.ts"

const OURS = "10.42.7.7/16"
const DOCKERS = "172.17.0.2/16"

let fixture: Fixture
let bridge: Bridge
let netns: Netns

beforeEach(() => {
  fixture = new Fixture()
  ip("link", "add", "docker0", "type", "bridge")
  ip("addr", "add", "172.17.0.1/16", "dev", "docker0")
  bridge = fixture.bridge({ name: "docker0", create: false, addresses: ["10.42.0.1/16"] })
  netns = fixture.netns("box")
  // As Docker does it.
  ip("link", "add", "veth1234", "type", "veth", "peer", "name", "eth0", "netns", "box")
  ip("link", "set", "veth1234", "master", "docker0", "up")
  ip("-n", "box", "addr", "add", DOCKERS, "dev", "eth0")
  ip("-n", "box", "link", "set", "eth0", "up")
  ip("-n", "box", "route", "add", "default", "via", "172.17.0.1")
})
afterEach(() => {
  // The name is free again only when the link is gone, which its namespace does late.
  if (fixture.kernel.link("veth1234") !== undefined) ip("link", "del", "veth1234")
  fixture.close()
})

function spec(more: Partial<AdoptSpec> = {}): AdoptSpec {
  return {
    ifname: "eth0",
    bridgeIndex: bridge.index,
    addresses: [OURS],
    routes: [
      { dst: "0.0.0.0/0", gw: "10.42.0.1" },
      { dst: "10.60.0.0/16", gw: "10.42.0.1" },
    ],
    ...more,
  }
}

function state(): string {
  const link = ipJson("-n", "box", "link", "show", "eth0")[0]
  // The time that an IPv6 address is tentative is no matter of this.
  const addresses = ip("-n", "box", "-4", "addr", "show", "dev", "eth0")
  return JSON.stringify([link?.address, link?.mtu, addresses, ip("-n", "box", "route")])
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

describe("adoptPort", () => {
  test("keeps Docker's address and default route, adds ours with its prefix", async () => {
    const port = adoptPort(fixture.kernel, netns, spec())
    expect(port).toMatchObject({ hostName: "veth1234", ownAddresses: [DOCKERS] })
    expect(port?.hostIndex).toBe(fixture.kernel.link("veth1234")?.index ?? 0)
    const addresses = ipJson("-n", "box", "-4", "addr", "show", "dev", "eth0")[0]?.addr_info
    expect(addresses).toEqual([
      expect.objectContaining({ local: "172.17.0.2", prefixlen: 16 }),
      expect.objectContaining({ local: "10.42.7.7", prefixlen: 16 }),
    ])
    const routes = ipJson("-n", "box", "route", "show")
    expect(routes.filter(({ dst }) => dst === "default").map(({ gateway }) => gateway)).toEqual([
      "172.17.0.1",
    ])
    expect(routes).toContainEqual(expect.objectContaining({ dst: "10.42.0.0/16", dev: "eth0" }))
    expect(routes).toContainEqual(
      expect.objectContaining({ dst: "10.60.0.0/16", gateway: "10.42.0.1" }),
    )
    expect(await answers(netns, "10.42.0.1", 1500)).toBe(true)
    expect(await answers(netns, "172.17.0.1", 1500)).toBe(true)
  })

  test("an IPv6 address beside a Docker address of IPv4, ready at once", async () => {
    fixture.bridge({ name: "docker0", create: false, addresses: ["fd00:42::1/64"] })
    adoptPort(fixture.kernel, netns, spec({ addresses: [OURS, "fd00:42::7/64"] }))
    expect(await answers(netns, "fd00:42::1", 800)).toBe(true)
  })

  test("sets MAC and MTU where they are asked for", async () => {
    const mac = "02:00:01:00:00:77"
    expect(adoptPort(fixture.kernel, netns, spec({ mac, mtu: 1402 }))).toMatchObject({
      mac,
      mtu: 1402,
    })
    expect(ipJson("-n", "box", "link", "show", "eth0")[0]).toMatchObject({
      address: mac,
      mtu: 1402,
    })
    expect(await answers(netns, "10.42.0.1", 1500)).toBe(true)
  })

  test("a second time changes nothing, and CHECK finds all in order", () => {
    adoptPort(fixture.kernel, netns, spec())
    const before = state()
    const port = adoptPort(fixture.kernel, netns, spec())
    expect(state()).toBe(before)
    expect(port?.ownAddresses).toEqual([DOCKERS])
    const expected = { ...spec(), hostName: "veth1234", adopted: true }
    expect(checkPort(fixture.kernel, netns, expected)).toEqual([])
    ip("-n", "box", "route", "del", "10.60.0.0/16")
    ip("-n", "box", "addr", "del", OURS, "dev", "eth0")
    expect(checkPort(fixture.kernel, netns, expected)).toEqual([
      "eth0 has lost the address 10.42.7.7/16.",
      "The route to 10.60.0.0/16 via 10.42.0.1 is gone.",
    ])
  })

  test("releasing puts everything back", () => {
    const before = state()
    adoptPort(fixture.kernel, netns, spec())
    expect(state()).not.toBe(before)
    releaseAdopted(netns, spec())
    expect(state()).toBe(before)
    releaseAdopted(netns, spec())
    expect(state()).toBe(before)
  })

  test("releasing takes no route that was there before", () => {
    ip("-n", "box", "route", "add", "10.60.0.0/16", "dev", "eth0")
    const routes = [{ dst: "10.60.0.0/16" }]
    adoptPort(fixture.kernel, netns, spec({ routes }))
    releaseAdopted(netns, spec({ routes }))
    expect(ip("-n", "box", "route")).toContain("10.60.0.0/16 dev eth0")
  })

  test("releasing from a container that has lost the interface is fine", () => {
    adoptPort(fixture.kernel, netns, spec())
    ip("link", "del", "veth1234")
    releaseAdopted(netns, spec())
  })

  test("undefined where the container has no such interface", () => {
    expect(adoptPort(fixture.kernel, netns, spec({ ifname: "eth1" }))).toBeUndefined()
  })

  test("a failure puts everything back", () => {
    const before = state()
    const bad = spec({
      mac: "02:00:01:00:00:77",
      mtu: 1402,
      routes: [{ dst: "10.60.0.0/16", gw: "255.255.255.255" }],
    })
    expect(codeOf(() => adoptPort(fixture.kernel, netns, bad))).toBe("kernel")
    expect(state()).toBe(before)
  })

  describe("is refused", () => {
    test("for an interface on another bridge", () => {
      ip("link", "add", "br1", "type", "bridge")
      ip("link", "set", "veth1234", "master", "br1")
      expect(codeOf(() => adoptPort(fixture.kernel, netns, spec()))).toBe("ifname-exists")
    })

    test("for an interface of another kind", () => {
      expect(codeOf(() => adoptPort(fixture.kernel, netns, spec({ ifname: "lo" })))).toBe(
        "ifname-exists",
      )
    })

    test("for a port that Lariat made", () => {
      const ours = fixture.spec(5, bridge.index, { ifname: "eth5" })
      createPort(fixture.kernel, netns, ours)
      expect(codeOf(() => adoptPort(fixture.kernel, netns, spec({ ifname: "eth5" })))).toBe(
        "ifname-exists",
      )
    })

    test("for a veth whose peer only has the index of a port, in another namespace", () => {
      fixture.netns("other")
      const index = fixture.kernel.link("veth1234")?.index ?? 0
      const inBox = ["name", "eth9", "netns", "box"]
      ip("-n", "other", "link", "add", "x", "index", `${index}`, "type", "veth", "peer", ...inBox)
      expect(codeOf(() => adoptPort(fixture.kernel, netns, spec({ ifname: "eth9" })))).toBe(
        "ifname-exists",
      )
    })
  })
})
