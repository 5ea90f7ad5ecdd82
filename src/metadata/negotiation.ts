/** Which format an Accept header asks for. */

import { parseAccept } from "hono/utils/accept"
import type { Format } from "./render.ts"

/** The formats there are; text comes first where several suit as well. */
const OFFERS: readonly (readonly [type: string, format: Format])[] = [
  ["text/plain", "text"],
  ["application/json", "json"],
  ["application/yaml", "yaml"],
  ["application/x-yaml", "yaml"],
  ["text/yaml", "yaml"],
  ["text/x-yaml", "yaml"],
]

/** How well a range names a type. */
const EXACT = 3
const SAME_CLASS = 2
const ANY = 1

/** Headers are seldom new: parsing one costs as much as an answer. */
const known = new Map<string, Format>()
const MAX_KNOWN = 256
/** No client sends a longer header. */
const MAX_HEADER = 1024

/**
 * The format that suits an Accept header best: the highest quality counts, then an explicit type
 * before a wildcard. Text where none of it is known.
 *
 * @param accept undefined where the header is missing
 */
export function formatFor(accept: string | undefined | null): Format {
  if (accept === undefined || accept === null || accept === "*/*") return "text"
  const before = known.get(accept)
  if (before !== undefined) return before
  const format = choose(accept.slice(0, MAX_HEADER))
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(accept, format)
  return format
}

/** Whether HTML is asked for by name, as browsers do. */
export function wantsHtml(accept: string | undefined | null): boolean {
  return accept !== undefined && accept !== null && /(^|[,\s])text\/html\b/.test(accept)
}

function choose(accept: string): Format {
  let best: { readonly format: Format; readonly quality: number; readonly match: number } = {
    format: "text",
    quality: 0,
    match: 0,
  }
  for (const { type: range, q: quality } of parseAccept(accept)) {
    for (const [type, format] of OFFERS) {
      const match = matches(range, type)
      if (match === 0 || quality === 0) continue
      const better = quality > best.quality || (quality === best.quality && match > best.match)
      if (better) best = { format, quality, match }
    }
  }
  return best.format
}

/** application/* means JSON: it is the first of its class. */
function matches(range: string, type: string): number {
  if (range === type) return EXACT
  if (range === "*/*" || range === "*") return ANY
  return range.endsWith("/*") && type.startsWith(range.slice(0, -1)) ? SAME_CLASS : 0
}
