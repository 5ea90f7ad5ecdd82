import { expect, test } from "bun:test"
import type { BlockClaim } from "../records/block_claim.ts"
import { sign } from "../records/envelope.ts"
import { HostIdentity } from "../records/identity.ts"
import { standingClaim } from "./standing_claim.ts"

const identity = HostIdentity.create((bytes) => new Uint8Array(bytes).fill(7))
const KEY = "/lariat/edge/blocks/n/10.42.0.0_24"
const entry = (value: string) => ({ key: KEY, value, revision: 9 })
const signed = (body: unknown) =>
  entry(sign("block", body, { key: KEY, hostId: "h1", sequence: 1, identity, psk: undefined }))

test.each<[BlockClaim, string | undefined]>([
  [{ state: "held" }, "h1"],
  [{ state: "released" }, undefined],
  [{ state: "released", to: "h2" }, "h2"],
])("%j has the holder %s", (claim, holder) => {
  expect(standingClaim(signed(claim))).toEqual({ revision: 9, holder, writer: "h1", claim })
})

test("nothing, and what is no claim, leaves the block free at its revision", () => {
  const free = { holder: undefined, writer: undefined, claim: undefined }
  expect(standingClaim(undefined)).toEqual({ revision: 0, ...free })
  for (const bad of [entry(""), entry("h1"), signed({ state: "eaten" }), signed(null)]) {
    expect(standingClaim(bad)).toEqual({ revision: 9, ...free })
  }
})
