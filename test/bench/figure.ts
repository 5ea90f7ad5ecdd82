/** One line of the benchmarks' result. */
import type { Summary } from "./statistics.ts"

/** What a figure is to keep to: as a ratio of two medians, or in its own unit. */
export interface Bar {
  readonly of: "ratio" | "value"
  readonly limit: number
  /** Which side of the limit is good. Default "most": it must not be exceeded. */
  readonly is?: "most" | "least" | undefined
}

/** Ours, what it is compared with, and the bar. */
export interface Figure {
  readonly name: string
  readonly unit: "ms" | "MB" | "ns" | "req/s" | "MB/s" | "bytes"
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
  if (value === undefined) return false
  return bar.is === "least" ? value >= bar.limit : value <= bar.limit
}
