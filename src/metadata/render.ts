import { isList, isMap, type Tree } from "./lookup.ts"

/**
 * A value as the metadata API's plain text: a scalar raw and without a newline, a map as its escaped,
 * sorted keys, a list as `index=name`, `index/` or `index`, one a line; `/` marks what can be entered.
 */
export function renderText(value: Tree): string {
  if (value === null) return ""
  if (isList(value)) return value.map((item, index) => `${listLine(item, index)}\n`).join("")
  if (isMap(value)) {
    return Object.entries(value)
      .map(([key, item]) => [queryEscape(key), enterable(item) ? "/" : ""] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, mark]) => `${key}${mark}\n`)
      .join("")
  }
  return String(value)
}

/** A value as JSON the way existing clients get it: keys sorted, `<`, `>` and `&` escaped. */
export function renderJson(value: Tree): string {
  return JSON.stringify(sorted(value)).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}

function listLine(item: Tree, index: number): string {
  if (isMap(item)) {
    const name = item.name ?? item.uuid
    return typeof name === "string" ? `${index}=${queryEscape(name)}` : `${index}/`
  }
  return enterable(item) ? `${index}/` : String(index)
}

function enterable(value: Tree): boolean {
  return typeof value === "object" && value !== null
}

/** Escapes a key as a URL query does: a space is `+`. */
function queryEscape(text: string): string {
  return encodeURIComponent(text).replace(/%20|[!'()*]/g, (found) =>
    found === "%20" ? "+" : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function sorted(value: Tree): Tree {
  if (isList(value)) return value.map(sorted)
  if (!isMap(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] ?? null)]),
  )
}
