/** Foreign values as messages may show them. */

/** Longest value that a message shows, characters. */
const MAX_SHOWN = 64

/** Longest message or line of a log, characters: hostile input must not flood one. */
const MAX_LINE = 4096

/** A value of a configuration as an error may show it: JSON, cut. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object" && value !== null) return "an object"
  if (typeof value === "string") return JSON.stringify(cut(value, MAX_SHOWN))
  return String(value)
}

/** One printable line: control characters and line ends become spaces, the rest is cut. */
export function oneLine(text: string): string {
  return cut(text, MAX_LINE)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
}

/** Cuts between characters, not between the halves of one. */
function cut(text: string, most: number): string {
  return text.length > most
    ? `${text
        .slice(0, most)
        .toWellFormed()
        .replace(/\ufffd$/, "")}…`
    : text
}
