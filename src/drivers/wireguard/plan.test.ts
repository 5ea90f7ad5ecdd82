import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { OverlayPeer } from "../driver.ts"
import { planPeer, type WireguardContext, wireguardParameters } from "./plan.ts"

const keyOf = (byte: number) => new Uint8Array(32).fill(byte).toBase64()

const CONTEXT: WireguardContext = {
  network: {
    ...{ name: "managed", number: 0, underlayMtu: 1500 },
    subnets: ["10.42.0.0/16", "fd00:42::/48"],
  },
  self: {
    hostId: "a",
    underlay: ["192.0.2.1", "2001:db8::1"],
    overlay: ["10.42.1.254", "fd00:42:0:1::fe"],
    blocks: ["10.42.1.0/24"],
  },
  publicKey: keyOf(1),
  family: 4,
  index: 7,
  keepalive: 25,
  presharedKey: new Uint8Array(32).fill(7),
  contains: (prefix) => /^(10\.42\.\d+\.\d+|fd00:42:[0-9a-f:]*)\/\d+$/.test(prefix),
  keyHolder: () => undefined,
}

const PEER: OverlayPeer = {
  hostId: "b",
  name: "b",
  number: 2,
  mtu: undefined,
  underlay: ["2001:db8::2", "192.0.2.2"],
  overlay: ["10.42.2.254", "fd00:42:0:9::fe"],
  blocks: ["10.42.2.0/24", "fd00:42:0:2::/64"],
  parameters: wireguardParameters(keyOf(2), 51820),
}

describe("planPeer", () => {
  test("one peer with all prefixes, and a route for each", () => {
    const prefixes = ["10.42.2.0/24", "fd00:42:0:2::/64", "fd00:42:0:9::fe/128"]
    const plan = planPeer(CONTEXT, PEER)
    expect(plan).toMatchObject({ remote: "192.0.2.2", reason: undefined, waits: false })
    expect(plan.wanted).toEqual({
      publicKey: keyOf(2),
      endpoint: { address: "192.0.2.2", port: 51820 },
      keepalive: 25,
      presharedKey: new Uint8Array(32).fill(7),
      allowedIps: prefixes,
    })
    expect(plan.routes.map(({ dst, source }) => [dst, source])).toEqual([
      ["10.42.2.0/24", "10.42.1.254"],
      ["fd00:42:0:2::/64", "fd00:42:0:1::fe"],
      ["fd00:42:0:9::fe/128", "fd00:42:0:1::fe"],
    ])
    expect(plan.routes.every(({ index, mtu, via }) => index === 7 && !mtu && !via)).toBe(true)
  })

  test("a peer that only the other family reaches costs more bytes, and its routes say so", () => {
    const plan = planPeer(CONTEXT, { ...PEER, underlay: ["2001:db8::2"] })
    expect(plan.remote).toBe("2001:db8::2")
    // 40 + 8 + 16 + 16 bytes of 1500, RFC 8200 and the whitepaper's §5.4.6.
    expect(plan.routes[0]?.mtu).toBe(1420)
    const alone = { ...CONTEXT, self: { ...CONTEXT.self, underlay: ["192.0.2.1"] } }
    expect(planPeer(alone, { ...PEER, underlay: ["2001:db8::2"] })).toMatchObject({
      wanted: undefined,
      reason: "it has no address outside of an IP version of this host's",
    })
  })

  test("a narrower path narrows the routes", () => {
    expect(planPeer(CONTEXT, { ...PEER, mtu: 1400 }).routes[0]?.mtu).toBe(1340)
  })

  test.each([
    [{ publicKey: keyOf(2) }, "it has not said its UDP port"],
    [{ publicKey: keyOf(2), port: "0" }, "it has not said its UDP port"],
    [{ publicKey: keyOf(2), port: "65536" }, "it has not said its UDP port"],
    [{ port: "51820" }, "it has not said its WireGuard key"],
    [{ publicKey: "AAAA", port: "51820" }, "it has not said its WireGuard key"],
    [{ publicKey: keyOf(0), port: "51820" }, "it has not said its WireGuard key"],
    [{ publicKey: keyOf(1), port: "51820" }, "it has this host's WireGuard key"],
  ])("%j: %s", (parameters: Record<string, string>, reason) => {
    expect(planPeer(CONTEXT, { ...PEER, parameters })).toMatchObject({
      ...{ reason, wanted: undefined, routes: [], waits: false },
    })
  })

  test("a key that another host has is waited for", () => {
    const plan = planPeer({ ...CONTEXT, keyHolder: () => "c" }, PEER)
    expect(plan).toMatchObject({ wanted: undefined, routes: [], waits: true })
    expect(plan.reason).toBe("host c has the same WireGuard key")
  })

  test("whatever a host says, nothing throws, and no prefix outside the network comes to it", () => {
    const text = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom("10.42.2.0/24", "0.0.0.0/0", "::/0", "10.42.9.9", keyOf(3), "51820"),
    )
    const texts = fc.array(text, { maxLength: 4 })
    fc.assert(
      fc.property(
        fc.record({ underlay: texts, overlay: texts, blocks: texts }),
        fc.dictionary(fc.constantFrom("publicKey", "port", "x"), text),
        (said, parameters) => {
          const plan = planPeer(CONTEXT, { ...PEER, ...said, parameters })
          for (const prefix of plan.wanted?.allowedIps ?? []) {
            expect(CONTEXT.contains(prefix)).toBe(true)
          }
          expect(plan.routes.map(({ dst }) => dst)).toEqual([...(plan.wanted?.allowedIps ?? [])])
          if (plan.wanted === undefined) expect(plan.reason).toBeString()
        },
      ),
      { numRuns: 500 },
    )
  })
})
