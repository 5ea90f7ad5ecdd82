/** How a table is laid out. */
export interface TableOptions {
  /** Columns that are aligned to the right, counted from 0. Default none. */
  readonly right?: readonly number[]
  /** Spaces before each line. Default 0. */
  readonly indent?: number
}

/** Rows of text in columns as wide as their widest cell, two spaces apart. */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { right = [], indent = 0 } = options
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        const width = widths[column] ?? 0
        return right.includes(column) ? cell.padStart(width) : cell.padEnd(width)
      })
      return `${" ".repeat(indent)}${cells.join("  ")}`.trimEnd()
    })
    .join("\n")
}
