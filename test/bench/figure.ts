/** One line of the benchmarks' result. */
import type { Summary } from "./statistics.ts"

/** What a figure must not exceed: as a ratio of two medians, or in its own unit. */
export interface Bar {
  readonly of: "ratio" | "value"
  readonly limit: number
}

/** Ours, what it is compared with, and the bar. */
export interface Figure {
  readonly name: string
  readonly unit: "ms" | "MB" | "ns"
  readonly ours: Summary
  /** What `ours` is compared with: a peer, or ourselves in another state. */
  readonly other?: { readonly name: string; readonly summary: Summary } | undefined
  readonly bar?: Bar | undefined
  /** What was measured, where the name does not say it. */
  readonly note?: string | undefined
}

/** Median of ours over median of the other; undefined without another. */
export function ratioOf({ ours, other }: Figure): number | undefined {
  return other === undefined ? undefined : ours.median / other.summary.median
}

/** Whether the bar is met; undefined where there is none. */
export function isMet(figure: Figure): boolean | undefined {
  const { bar, ours } = figure
  if (bar === undefined) return undefined
  const value = bar.of === "value" ? ours.median : ratioOf(figure)
  return value !== undefined && value <= bar.limit
}
