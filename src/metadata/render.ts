import { type ScalarTag, stringify } from "yaml"
import { isList, isMap, NIL_LIST, type Tree } from "./lookup.ts"

/** The formats of an answer. */
export type Format = "text" | "json" | "yaml"

/** Keys of the tree below which there may be thousands of records. */
const LONG_KEYS: ReadonlySet<string> = new Set([
  ...["containers", "hosts", "networks", "services", "stacks", "self", "service", "stack"],
])

/** A value in a format, the way existing clients get it, part after part, each of them short. */
export function* renderParts(value: Tree, format: Format): Generator<string, void> {
  if (format === "text") yield* isRecords(value) ? value.map(listText) : [renderText(value)]
  else if (format === "json") yield* jsonParts(value)
  else yield* yamlParts(value, "")
}

function* jsonParts(value: Tree): Generator<string, void> {
  if (!isLong(value)) return yield renderJson(value)
  let mark = isList(value) ? "[" : "{"
  for (const [key, item] of sortedEntries(value)) {
    yield isList(value) ? mark : `${mark}${escaped(JSON.stringify(key))}:`
    yield* isList(value) || LONG_KEYS.has(key) ? jsonParts(item) : [renderJson(item)]
    mark = ","
  }
  yield isList(value) ? "]" : "}"
}

/** What stands below a key is indented, but for lists. */
function* yamlParts(value: Tree, indent: string): Generator<string, void> {
  const indented = (text: string): string =>
    text.replaceAll(/(^|\n)(?!\n|$)/g, (start) => start + indent)
  if (!isLong(value)) return yield indented(renderYaml(value))
  for (const [key, item] of sortedEntries(value)) {
    if (isList(value) && isLong(item)) {
      let mark = `${indent}- `
      for (const part of yamlParts(item, `${indent}  `)) {
        yield mark + part.slice(mark.length)
        mark = ""
      }
    } else if (!isList(value) && LONG_KEYS.has(key) && isLong(item)) {
      yield `${indent}${key}:\n`
      yield* yamlParts(item, isList(item) ? indent : `${indent}  `)
    } else yield indented(renderYaml(isList(value) ? [item] : { [key]: item }))
  }
}

/** Whether a value may be long: a list of records, or a map with such lists below its keys. */
function isLong(value: Tree): value is Extract<Tree, object> {
  if (!isMap(value)) return isRecords(value)
  return Object.keys(value).some((key) => LONG_KEYS.has(key) && isLong(value[key] ?? null))
}

function isRecords(value: Tree): value is readonly Tree[] {
  return isList(value) && isMap(value[0] ?? null)
}

function sortedEntries(value: Extract<Tree, object>): (readonly [string, Tree])[] {
  if (isList(value)) return value.map((item) => ["", item] as const)
  return Object.keys(value)
    .sort()
    .map((key) => [key, value[key] ?? null] as const)
}

/**
 * A value as the metadata API's plain text: a scalar raw and without a newline, a map as its escaped,
 * sorted keys, a list as `index=name`, `index/` or `index`, one a line; `/` marks what can be entered.
 */
export function renderText(value: Tree): string {
  if (value === null) return ""
  if (isList(value)) return value.map(listText).join("")
  if (isMap(value)) {
    return Object.keys(value)
      .map((key) => [queryEscape(key), enterable(value[key] ?? null) ? "/" : ""] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, mark]) => `${key}${mark}\n`)
      .join("")
  }
  return String(value)
}

/** The JSON of the tree's objects, which never change. */
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

function listText(item: Tree, index: number): string {
  const name = isMap(item) ? (item.name ?? item.uuid) : undefined
  if (typeof name === "string") return `${index}=${queryEscape(name)}\n`
  return enterable(item) ? `${index}/\n` : `${index}\n`
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
