import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { RTN_LOCAL, RTN_UNICAST } from "../../netlink/constants.ts"
import type { RouteInfo } from "../../netlink/route/route.ts"
import type { OverlayPeer } from "../driver.ts"
import { planPeer, type RoutedContext } from "./plan.ts"

const ROUTE: RouteInfo = {
  ...{ family: 4, dst: "", gateway: undefined, index: 2, table: 254, scope: 0, protocol: 2 },
  ...{ type: RTN_UNICAST, priority: 0, preferredSource: undefined, flags: 0 },
  ...{ mtu: undefined, advmss: undefined },
}

/** 192.0.2.0/24 and 2001:db8::/64 are on-link; 192.0.2.1 is this host; all else has a router. */
function way(address: string): RouteInfo | undefined {
  if (address === "192.0.2.1") return { ...ROUTE, type: RTN_LOCAL }
  if (/^(192\.0\.2\.|2001:db8::)/.test(address)) return ROUTE
  return address.startsWith("203.0.113.") ? undefined : { ...ROUTE, gateway: "192.0.2.254" }
}

const CONTEXT: RoutedContext = {
  network: {
    ...{ name: "managed", number: 0, underlayMtu: 1500 },
    subnets: ["10.42.0.0/16", "fd00:42::/48"],
  },
  overlay: ["10.42.1.254", "fd00:42:0:1::fe"],
  contains: (prefix) => /^(10\.42\.\d+\.\d+|fd00:42:[0-9a-f:]*)\/\d+$/.test(prefix),
  way,
  linkName: (index) => (index === 2 ? "eth0" : undefined),
}

const PEER: OverlayPeer = {
  hostId: "b",
  name: "b",
  number: 2,
  mtu: undefined,
  underlay: ["192.0.2.2", "2001:db8::2"],
  overlay: ["10.42.2.254"],
  blocks: ["10.42.2.0/24", "fd00:42:0:2::/64"],
  parameters: {},
}

const nextHops = (more: Partial<OverlayPeer>) =>
  planPeer(CONTEXT, { ...PEER, ...more }).routes.map(({ dst, via }) => `${dst} ${via}`)
const reasonOf = (more: Partial<OverlayPeer>) => planPeer(CONTEXT, { ...PEER, ...more }).reason

describe("planPeer", () => {
  test("each family by an address of its own", () => {
    expect(planPeer(CONTEXT, PEER)).toEqual({
      remote: "192.0.2.2",
      reason: undefined,
      routes: [
        {
          ...{ dst: "10.42.2.0/24", index: 2, via: "192.0.2.2", mtu: undefined },
          source: "10.42.1.254",
        },
        {
          ...{ dst: "fd00:42:0:2::/64", index: 2, via: "2001:db8::2", mtu: undefined },
          source: "fd00:42:0:1::fe",
        },
      ],
      // Both addresses are on one link.
      sources: ["10.42.2.0/24", "fd00:42:0:2::/64"].map((prefix) => ({ link: "eth0", prefix })),
    })
  })

  test("the first address that is on the link, not the first of all", () => {
    const underlay = ["198.51.100.2", "192.0.2.22", "2001:db8::2"]
    expect(nextHops({ underlay })).toContain("10.42.2.0/24 192.0.2.22")
  })

  test("IPv4 goes by an IPv6 next hop where there is no other; IPv6 cannot by IPv4", () => {
    expect(nextHops({ underlay: ["2001:db8::2"] })).toEqual([
      "10.42.2.0/24 2001:db8::2",
      "fd00:42:0:2::/64 2001:db8::2",
    ])
    expect(nextHops({ underlay: ["192.0.2.2"] })).toEqual(["10.42.2.0/24 192.0.2.2"])
    expect(reasonOf({ underlay: ["192.0.2.2"] })).toBe("it has no IPv6 address outside the network")
  })

  test("who is behind a router is refused, with the router's address", () => {
    const underlay = ["198.51.100.2"]
    expect(nextHops({ underlay })).toEqual([])
    expect(reasonOf({ underlay })).toBe(
      "its address 198.51.100.2 is behind router 192.0.2.254: plain routes need both hosts on one layer-2 network",
    )
  })

  test("other addresses that cannot be next hops say why", () => {
    expect(reasonOf({ underlay: ["203.0.113.2"] })).toBe(
      "this host has no route to its address 203.0.113.2",
    )
    expect(reasonOf({ underlay: ["192.0.2.1"] })).toBe(
      "its address 192.0.2.1 is one of this host's",
    )
    expect(reasonOf({ underlay: ["10.42.2.2"] })).toBe(
      "its address 10.42.2.2 is inside the network",
    )
    expect(reasonOf({ underlay: [] })).toBe("it has no IPv4 address outside the network")
  })

  test("who cannot be a next hop may send nothing", () => {
    for (const underlay of [["198.51.100.2"], ["203.0.113.2"], ["192.0.2.1"], ["10.42.2.2"]]) {
      expect(planPeer(CONTEXT, { ...PEER, underlay }).sources).toEqual([])
    }
  })

  test("a narrower path narrows the routes to just that", () => {
    expect(planPeer(CONTEXT, { ...PEER, mtu: 1400 }).routes[0]?.mtu).toBe(1400)
    expect(planPeer(CONTEXT, { ...PEER, mtu: 9000 }).routes[0]?.mtu).toBeUndefined()
  })

  test("whatever a host says, nothing throws, and every route has a next hop on the link", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom("10.42.2.0/24", "0.0.0.0/0", "192.0.2.9", "2001:db8::9", "fd00:42::/64"),
    )
    const texts = fc.array(text, { maxLength: 4 })
    fc.assert(
      fc.property(fc.record({ underlay: texts, overlay: texts, blocks: texts }), (said) => {
        for (const { dst, via = "" } of planPeer(CONTEXT, { ...PEER, ...said }).routes) {
          expect(CONTEXT.contains(dst)).toBe(true)
          expect(way(via)?.gateway).toBeUndefined()
        }
      }),
      { numRuns: 500 },
    )
  })
})
