/** The figures as people read them. */
import { type Bar, type Figure, isMet, ratioOf } from "./figure.ts"
import type { Summary } from "./statistics.ts"

const HEAD = ["", "ours p50 (p90)", "other p50 (p90)", "", "ratio", "bar", ""]

/** A table of all figures, with the notes below. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = [HEAD, ...figures.map(rowOf)]
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return isText(column) ? cell.padEnd(width) : cell.padStart(width)
      })
      .join("  ")
      .trimEnd(),
  )
  return [...lines, "", ...notesOf(figures)].join("\n")
}

/** Names to the left, numbers to the right. */
function isText(column: number): boolean {
  return column === 0 || column === 3 || column === 6
}

function rowOf(figure: Figure): string[] {
  const { name, unit, ours, other, bar } = figure
  const ratio = ratioOf(figure)
  const met = isMet(figure)
  return [
    name,
    cell(ours, unit),
    other === undefined ? "" : cell(other.summary, unit),
    other?.name ?? "",
    ratio === undefined ? "" : ratio.toFixed(2),
    bar === undefined ? "" : barOf(bar, unit),
    met === undefined ? "" : met ? "met" : "MISSED",
  ]
}

function barOf({ of, limit, is }: Bar, unit: string): string {
  return `${is === "least" ? "≥" : "≤"} ${limit}${of === "value" ? ` ${unit}` : ""}`
}

function cell({ median, p90 }: Summary, unit: string): string {
  return `${number(median)} (${number(p90)}) ${unit}`
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function notesOf(figures: readonly Figure[]): string[] {
  return figures.flatMap(({ name, note, ours }) =>
    note === undefined ? [] : [`${name}: ${note} (n = ${ours.n})`],
  )
}
