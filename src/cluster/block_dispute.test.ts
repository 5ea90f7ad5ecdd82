import { expect, test } from "bun:test"
import fc from "fast-check"
import type { BlockClaim } from "./block_claim.ts"
import { keepsBlock } from "./block_dispute.ts"

const held = (claim: Partial<BlockClaim> = {}): BlockClaim => ({ state: "held", ...claim })
const of = (hostId: string, claim: Partial<BlockClaim> = {}) => ({ hostId, claim: held(claim) })
const UNSURE = { confirmed: false }

test.each([
  ["a claim that says nothing of containers gives way", of("a"), true],
  ["of two with containers the lower id keeps it", of("c", { used: true }), true],
  ["of two with containers the higher id does not", of("a", { used: true }), false],
  ["what was taken over is gone", of("c", { from: "b" }), false],
])("%s", (_name, rival, keeps) => {
  expect(keepsBlock("b", rival, UNSURE)).toBe(keeps)
})

test("a claim that was seen standing is not given up for anything that another says", () => {
  const claim = fc.record({ used: fc.boolean(), from: fc.constantFrom(undefined, "b") })
  fc.assert(
    fc.property(fc.constantFrom("a", "c"), claim, (hostId, rival) => {
      expect(keepsBlock("b", of(hostId, rival), { confirmed: true })).toBe(true)
    }),
  )
})

test("two hosts with containers in a block come to the same holder, whoever begins", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,4}$/), { minLength: 2, maxLength: 5 }),
      fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }),
      (hosts, order) => {
        // The claim that stands; each host writes over it where it thinks that it keeps the block.
        let standing = of(hosts[0] ?? "")
        const turns = [...order.map((n) => hosts[n % hosts.length] ?? ""), ...hosts, ...hosts]
        for (const host of turns) {
          if (standing.hostId === host || !keepsBlock(host, standing, UNSURE)) continue
          standing = of(host, { used: true })
        }
        const settled = hosts.filter(
          (host) => host === standing.hostId || keepsBlock(host, standing, UNSURE),
        )
        expect(settled).toEqual([standing.hostId])
      },
    ),
  )
})
