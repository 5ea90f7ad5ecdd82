import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { parsePrefix, prefixesOverlap } from "../../core/address.ts"
import type { OverlayPeer } from "../driver.ts"
import { planPeer, type VxlanContext } from "./plan.ts"

const SUBNETS = ["10.42.0.0/16", "fd00:42::/48"]

const CONTEXT: VxlanContext = {
  network: { name: "managed", number: 0, subnets: SUBNETS, underlayMtu: 1500 },
  self: {
    hostId: "a",
    underlay: ["192.0.2.1"],
    overlay: ["10.42.1.254", "fd00:42:0:1::fe"],
    blocks: ["10.42.1.0/24"],
  },
  vtep: { mac: "0e:00:00:00:00:01", vni: 1042, port: 4789, family: 4 },
  index: 7,
  contains: (prefix) => {
    try {
      const parsed = parsePrefix(prefix)
      return SUBNETS.map(parsePrefix).some(
        (subnet) => parsed.length >= subnet.length && prefixesOverlap(subnet, parsed),
      )
    } catch {
      return false
    }
  },
  macHolder: () => undefined,
}

const PEER: OverlayPeer = {
  hostId: "b",
  name: "b",
  number: 2,
  mtu: undefined,
  underlay: ["2001:db8::2", "192.0.2.2"],
  overlay: ["10.42.2.254", "fd00:42:0:2::fe"],
  blocks: ["10.42.2.0/24", "fd00:42:0:2::/64"],
  parameters: { mac: "0e:00:00:00:00:02" },
}

describe("planPeer", () => {
  test("one forwarding, a neighbour for each own address, a route for each block", () => {
    const mac = "0e:00:00:00:00:02"
    expect(planPeer(CONTEXT, PEER)).toEqual({
      remote: "192.0.2.2",
      reason: undefined,
      waits: false,
      forwardings: [{ index: 7, mac, remote: "192.0.2.2" }],
      neighbours: [
        { index: 7, address: "10.42.2.254", mac },
        { index: 7, address: "fd00:42:0:2::fe", mac },
      ],
      routes: [
        // Before the route that needs it.
        {
          ...{ dst: "fd00:42:0:2::fe/128", index: 7, mtu: undefined },
          source: "fd00:42:0:1::fe",
        },
        {
          ...{ dst: "10.42.2.0/24", index: 7, via: "10.42.2.254", onlink: true, mtu: undefined },
          source: "10.42.1.254",
        },
        {
          ...{ dst: "fd00:42:0:2::/64", index: 7, via: "fd00:42:0:2::fe", onlink: true },
          ...{ mtu: undefined, source: "fd00:42:0:1::fe" },
        },
      ],
      sources: ["2001:db8::2", "192.0.2.2"].flatMap((outer) =>
        ["10.42.2.0/24", "fd00:42:0:2::/64"].map((prefix) => ({ outer, prefix })),
      ),
    })
  })

  test("an own address outside the blocks has a route of its own", () => {
    const { routes } = planPeer(CONTEXT, { ...PEER, blocks: ["10.42.9.0/24"] })
    expect(routes.map(({ dst }) => dst)).toEqual([
      "fd00:42:0:2::fe/128",
      "10.42.9.0/24",
      "10.42.2.254/32",
    ])
  })

  test("a narrower path narrows the routes by VXLAN's bytes; a wider one does not", () => {
    const mtuOf = (mtu: number) => planPeer(CONTEXT, { ...PEER, mtu }).routes[0]?.mtu
    expect(mtuOf(1400)).toBe(1350)
    expect(mtuOf(9000)).toBeUndefined()
    expect(mtuOf(60)).toBeUndefined()
  })

  test("one who waits for what another has is told from one who is refused for good", () => {
    const held = planPeer({ ...CONTEXT, macHolder: () => "c" }, PEER)
    expect(held).toMatchObject({ waits: true, routes: [], forwardings: [] })
    const own = { ...PEER, parameters: { mac: CONTEXT.vtep.mac } }
    expect(planPeer(CONTEXT, own)).toMatchObject({ waits: false, routes: [] })
  })

  test("whatever a host says, nothing throws and nothing leads outside the network", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.ipV4(),
      fc.ipV6(),
      fc.tuple(fc.ipV4(), fc.nat(40)).map(([address, length]) => `${address}/${length}`),
      fc.constantFrom("10.42.2.0/24", "10.42.3.9", "0.0.0.0/0", "::/0", "0e:00:00:00:00:02"),
    )
    const texts = fc.array(text, { maxLength: 4 })
    fc.assert(
      fc.property(
        fc.record({ underlay: texts, overlay: texts, blocks: texts }),
        fc.dictionary(fc.constantFrom("mac", "vni", "port", "family"), text),
        (said, parameters) => {
          const plan = planPeer(CONTEXT, { ...PEER, ...said, parameters })
          for (const { dst, via = dst.replace(/\/128$/, "") } of plan.routes) {
            expect(CONTEXT.contains(dst)).toBe(true)
            expect(plan.neighbours.map(({ address }) => address)).toContain(via)
          }
          if (plan.routes.length > 0) expect(plan.forwardings).toHaveLength(1)
          if (plan.forwardings.length === 0) expect(plan.reason).toBeString()
        },
      ),
      { numRuns: 500 },
    )
  })
})
