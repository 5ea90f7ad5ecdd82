/** Order statistics of a sample. */

/** A sample in a few numbers, in the unit of its values. */
export interface Summary {
  readonly n: number
  readonly median: number
  readonly p90: number
  readonly min: number
  readonly max: number
}

/** @throws Error for an empty sample */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  const [min] = sorted
  const max = sorted.at(-1)
  if (min === undefined || max === undefined) throw new Error("Cannot summarize: no values")
  return { n: sorted.length, median: quantile(sorted, 0.5), p90: quantile(sorted, 0.9), min, max }
}

/** The quantile of a sorted sample, interpolated linearly. */
function quantile(sorted: readonly number[], q: number): number {
  const place = (sorted.length - 1) * q
  const low = sorted[Math.floor(place)] ?? Number.NaN
  const high = sorted[Math.ceil(place)] ?? Number.NaN
  return low + (high - low) * (place - Math.floor(place))
}
