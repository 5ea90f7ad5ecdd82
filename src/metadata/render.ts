import { type ScalarTag, stringify } from "yaml"
import { isList, isMap, NIL_LIST, type Tree } from "./lookup.ts"

/** The formats of an answer. */
export type Format = "text" | "json" | "yaml"

/** A value in a format, the way existing clients get it. */
export function render(value: Tree, format: Format): string {
  if (format === "json") return renderJson(value)
  return format === "yaml" ? renderYaml(value) : renderText(value)
}

/**
 * A value as the metadata API's plain text: a scalar raw and without a newline, a map as its escaped,
 * sorted keys, a list as `index=name`, `index/` or `index`, one a line; `/` marks what can be entered.
 */
export function renderText(value: Tree): string {
  if (value === null) return ""
  if (isList(value)) return value.map((item, index) => `${listLine(item, index)}\n`).join("")
  if (isMap(value)) {
    return Object.keys(value)
      .map((key) => [queryEscape(key), enterable(value[key] ?? null) ? "/" : ""] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, mark]) => `${key}${mark}\n`)
      .join("")
  }
  return String(value)
}

/** The JSON of the tree's objects, which never change: a long list is put together from its parts. */
const rendered = new WeakMap<object, string>()

/** A value as JSON the way existing clients get it: keys sorted, `<`, `>` and `&` escaped. */
export function renderJson(value: Tree): string {
  if (!enterable(value)) return escaped(JSON.stringify(value))
  if (value === NIL_LIST) return "null"
  const known = rendered.get(value)
  if (known !== undefined) return known
  const text = isList(value)
    ? `[${value.map(renderJson).join(",")}]`
    : `{${Object.keys(value)
        .sort()
        .map((key) => `${escaped(JSON.stringify(key))}:${renderJson(value[key] ?? null)}`)
        .join(",")}}`
  rendered.set(value, text)
  return text
}

/** What YAML 1.1 takes for a truth value or a number of base 60; dates existing clients read as text. */
const YAML_1_1: ScalarTag = {
  tag: "tag:yaml.org,2002:bool",
  default: true,
  test: /^(?:y|n|yes|no|on|off|[-+]?\d+(?::[0-5]?\d)+(?:\.\d*)?)$/i,
  resolve: (text) => text,
}

/**
 * A value as YAML: keys sorted, lists not indented. Texts such as `yes` are quoted: to readers of
 * YAML 1.1 they are more than text.
 */
export function renderYaml(value: Tree): string {
  return stringify(plain(value), {
    compat: [YAML_1_1],
    indentSeq: false,
    lineWidth: 0,
    sortMapEntries: true,
  })
}

/**
 * Go's way of printing a value with %v, by which a waiting client says what it knows.
 *
 * @param most characters after which the rest may be left out: what costs more is not worth it
 */
export function goText(value: Tree, most: number): string {
  let text = ""
  const between = <K>(begin: string, keys: Iterable<K>, writeItem: (key: K) => void): void => {
    text += begin
    let gap = ""
    for (const key of keys) {
      if (text.length > most) return
      text += gap
      writeItem(key)
      gap = " "
    }
    text += "]"
  }
  const write = (tree: Tree): void => {
    if (isList(tree)) between("[", tree, write)
    else if (isMap(tree)) {
      between("map[", Object.keys(tree).sort(), (key) => {
        text += `${key}:`
        write(tree[key] ?? null)
      })
    } else if (tree === null) text += "<nil>"
    else text += typeof tree === "number" ? goNumber(tree) : String(tree)
  }
  write(value)
  return text
}

/** %v of a float64: an exponent below -4 is written, with two digits. */
function goNumber(value: number): string {
  const small = value !== 0 && Math.abs(value) < 1e-4
  const text = small ? value.toExponential() : String(value)
  return text.replace(/e([+-])(\d)$/, "e$10$2")
}

function escaped(json: string): string {
  return json.replace(
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

function enterable(value: Tree): value is Extract<Tree, object> {
  return typeof value === "object" && value !== null
}

/**
 * Escapes a key as a URL query does: a space is `+`. Half of a surrogate pair, which JSON may bring,
 * is no character.
 */
function queryEscape(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/%20|[!'()*]/g, (found) =>
    found === "%20" ? "+" : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** The tree with the list that is null made so, at any depth. */
function plain(value: Tree): Tree {
  if (value === NIL_LIST) return null
  if (isList(value)) return value.map(plain)
  if (!isMap(value)) return value
  return Object.fromEntries(Object.keys(value).map((key) => [key, plain(value[key] ?? null)]))
}
