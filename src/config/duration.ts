/** Lengths of time as people write them. */

/** Milliseconds of each unit. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** The longest duration that is taken, one year, in milliseconds. */
const MAX_MS = 365 * 86_400_000

/**
 * Reads `500ms`, `60s`, `5m`, `1h30m`, `2d`, or a bare number of milliseconds.
 *
 * @returns milliseconds, or undefined when it is no duration between 0 and a year
 */
export function parseDuration(value: string | number): number | undefined {
  if (typeof value === "number") return inRange(value)
  const text = value.trim()
  if (/^[0-9]{1,12}$/.test(text)) return inRange(Number(text))
  if (text.length > 64 || !/^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined
  let total = 0
  for (const [, number, unit] of text.matchAll(/([0-9.]+)(ms|s|m|h|d)/g)) {
    total += Number(number) * (UNITS[unit ?? ""] ?? Number.NaN)
  }
  return inRange(Math.round(total))
}

function inRange(ms: number): number | undefined {
  return Number.isInteger(ms) && ms >= 0 && ms <= MAX_MS ? ms : undefined
}
