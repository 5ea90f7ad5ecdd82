import { expect, test } from "bun:test"
import fc from "fast-check"
import { type RoundTrip, smoothRoundTrip } from "./round_trip.ts"

test("the first one, and the second by RFC 6298 §2.3", () => {
  const first = smoothRoundTrip(undefined, 8)
  expect(first).toEqual({ smoothedMs: 8, variationMs: 4 })
  expect(smoothRoundTrip(first, 16)).toEqual({ smoothedMs: 9, variationMs: 5 })
})

test("stays within what was measured", () => {
  const samples = fc.array(fc.double({ min: 0, max: 1000, noNaN: true }), { minLength: 1 })
  fc.assert(
    fc.property(samples, (all) => {
      let state: RoundTrip | undefined
      for (const one of all) state = smoothRoundTrip(state, one)
      expect(state?.smoothedMs).toBeGreaterThanOrEqual(Math.min(...all) - 1e-9)
      expect(state?.smoothedMs).toBeLessThanOrEqual(Math.max(...all) + 1e-9)
    }),
  )
})
