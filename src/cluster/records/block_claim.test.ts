import { expect, test } from "bun:test"
import fc from "fast-check"
import { type BlockClaim, parseBlockClaim } from "./block_claim.ts"
import { PeerRefusedError } from "./envelope.ts"

test.each<BlockClaim>([
  { state: "held" },
  { state: "released" },
  { state: "held", from: "h1" },
  { state: "released", to: "h-2" },
])("%j is read as it was written", (claim) => {
  expect(parseBlockClaim(JSON.parse(JSON.stringify(claim)))).toEqual(claim)
})

test("what other versions add is no harm", () => {
  expect(parseBlockClaim({ state: "held", since: 5, used: true })).toEqual({ state: "held" })
})

test.each([
  [{}, "state is out of shape"],
  [{ state: "mine" }, "state is out of shape"],
  [{ state: "held", from: "a/b" }, "from is out of shape"],
  [{ state: "released", to: null }, "to is out of shape"],
])("%j is refused", (body, why) => {
  expect(() => parseBlockClaim(body)).toThrow(`Cannot take the claim: ${why}`)
})

test("anything else is refused as what it is", () => {
  fc.assert(
    fc.property(fc.anything(), (body) => {
      try {
        expect(["held", "released"]).toContain(parseBlockClaim(body).state)
      } catch (error) {
        expect(error).toBeInstanceOf(PeerRefusedError)
      }
    }),
  )
})
