import { expect, test } from "bun:test"
import fc from "fast-check"
import type { BlockClaim } from "../records/block_claim.ts"
import { keepsBlock, type RivalClaim } from "./block_dispute.ts"

const held = (claim: Partial<BlockClaim> = {}): BlockClaim => ({ state: "held", ...claim })
const of = (hostId: string, claim: Partial<BlockClaim> = {}) => ({ hostId, claim: held(claim) })
const UNSURE = { confirmed: false }

test.each([
  ["a claim that says nothing of containers gives way", of("a"), true],
  ["of two with containers the lower id keeps it", of("c", { used: true }), true],
  ["of two with containers the higher id does not", of("a", { used: true }), false],
  ["what was taken over is gone", of("c", { from: "b" }), false],
  ["what the other saw standing is its own", of("c", { used: true, stood: true }), false],
])("%s", (_name, rival, keeps) => {
  expect(keepsBlock("b", rival, UNSURE)).toBe(keeps)
})

test("a claim that was seen standing is not given up for anything that another says", () => {
  const claim = fc.record({
    used: fc.boolean(),
    stood: fc.boolean(),
    from: fc.constantFrom(undefined, "b"),
  })
  fc.assert(
    fc.property(fc.constantFrom("a", "c"), claim, (hostId, rival) => {
      expect(keepsBlock("b", of(hostId, rival), { confirmed: true })).toBe(true)
    }),
  )
})

const hosts = fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,4}$/), {
  minLength: 2,
  maxLength: 5,
})

/** The hosts that keep the block once each had its turns, which come in an order at first. */
function settled(all: readonly string[], first: RivalClaim, order: number[], sure?: string) {
  // The claim that stands; each host writes over it where it thinks that it keeps the block.
  let standing = first
  const turns = [...order.map((n) => all[n % all.length] ?? ""), ...all, ...all]
  const keeps = (host: string) => keepsBlock(host, standing, { confirmed: host === sure })
  for (const host of turns) {
    if (standing.hostId === host || !keeps(host)) continue
    standing = of(host, { used: true, stood: host === sure })
  }
  return all.filter((host) => host === standing.hostId || keeps(host))
}

test("hosts with containers in a block come to the same holder, whoever begins", () => {
  fc.assert(
    fc.property(hosts, fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }), (all, order) => {
      expect(settled(all, of(all[0] ?? ""), order)).toHaveLength(1)
    }),
  )
})

test("the one that saw its claim stand is the holder, whatever the ids and whoever begins", () => {
  const begins = fc.record({ used: fc.boolean() })
  fc.assert(
    fc.property(hosts, fc.nat(4), begins, fc.array(fc.nat(4)), (all, n, claim, order) => {
      const sure = all[n % all.length] ?? ""
      const first = of(all[order[0] ?? 0] ?? sure, claim)
      expect(settled(all, first, order, sure)).toEqual([sure])
    }),
  )
})
