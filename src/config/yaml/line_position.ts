/** From offsets into a text to lines and columns. */

import { LineCounter } from "yaml"
import type { Position } from "../network.ts"

/**
 * The lines of a text. They are counted before the parser runs, which may refuse the text at once
 * or give up half-way, and leaves a counter of its own half filled then.
 */
export function linesOf(text: string): LineCounter {
  const lines = new LineCounter()
  lines.addNewLine(0)
  for (const { index } of text.matchAll(/\n/g)) lines.addNewLine(index + 1)
  return lines
}

/** Line and column, from 1, of an offset in UTF-16 code units. */
export function positionIn(file: string, lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  return { file, line, column: col }
}
