/** A smoothed round-trip time, as TCP keeps it. */

/** Gains of RFC 6298 §2. */
const ALPHA = 1 / 8
const BETA = 1 / 4

/** Milliseconds. */
export interface RoundTrip {
  readonly smoothedMs: number
  /** How far single ones are from it, on average. */
  readonly variationMs: number
}

/** Takes one more round trip in, RFC 6298 §2.2 and §2.3. */
export function smoothRoundTrip(before: RoundTrip | undefined, rttMs: number): RoundTrip {
  if (before === undefined) return { smoothedMs: rttMs, variationMs: rttMs / 2 }
  const error = Math.abs(before.smoothedMs - rttMs)
  return {
    variationMs: (1 - BETA) * before.variationMs + BETA * error,
    smoothedMs: (1 - ALPHA) * before.smoothedMs + ALPHA * rttMs,
  }
}
