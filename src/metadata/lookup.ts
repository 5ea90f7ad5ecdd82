/** Any value of the metadata tree. */
export type Tree =
  | string
  | number
  | boolean
  | null
  | readonly Tree[]
  | { readonly [key: string]: Tree }

/** A list that does not exist: empty to whoever enters it, null in JSON and YAML. */
export const NIL_LIST: readonly Tree[] = Object.freeze([])

/** A map of the tree, as opposed to a list or a scalar. */
export function isMap(value: Tree): value is { readonly [key: string]: Tree } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** A list of the tree. */
export function isList(value: Tree): value is readonly Tree[] {
  return Array.isArray(value)
}

/** What a path names, and the one path by which it is kept: list elements by their index. */
export interface Found {
  readonly value: Tree
  readonly path: readonly string[]
}

/**
 * Finds what a path of the metadata API names: a map by key, a list by index or by the `name` or
 * `uuid` of an element. A path without a match is tried once more in lower case, since the tree of
 * the newest API version has lower-case names. Returns undefined where nothing is.
 */
export function lookup(tree: Tree, path: readonly string[]): Found | undefined {
  const found = descend(tree, path)
  if (found !== undefined) return found
  const folded = path.map((segment) => segment.toLowerCase())
  return folded.every((segment, at) => segment === path[at]) ? undefined : descend(tree, folded)
}

function descend(tree: Tree, path: readonly string[]): Found | undefined {
  let value: Tree | undefined = tree
  const taken: string[] = []
  for (const segment of path) {
    if (value === undefined || value === null) return undefined
    const key: string | number | undefined = isList(value) ? indexOf(value, segment) : segment
    if (typeof value !== "object" || key === undefined || !Object.hasOwn(value, key)) {
      return undefined
    }
    value = isList(value) ? value[Number(key)] : isMap(value) ? value[key] : undefined
    taken.push(String(key))
  }
  return value === undefined ? undefined : { value, path: taken }
}

/** Lists longer than this are indexed by name when one of their elements is asked for by it. */
const SHORT_LIST = 16
const indexes = new WeakMap<readonly Tree[], ReadonlyMap<string, number>>()

function indexOf(list: readonly Tree[], segment: string): number | undefined {
  if (/^\d{1,15}$/.test(segment)) return Number(segment)
  if (list.length > SHORT_LIST) return namesOf(list).get(segment)
  const index = list.findIndex(
    (item) => isMap(item) && (item.name === segment || item.uuid === segment),
  )
  return index < 0 ? undefined : index
}

/** The index of the first element of each name and uuid. */
function namesOf(list: readonly Tree[]): ReadonlyMap<string, number> {
  const known = indexes.get(list)
  if (known !== undefined) return known
  const names = new Map<string, number>()
  for (const [index, item] of list.entries()) {
    if (!isMap(item)) continue
    for (const name of [item.name, item.uuid]) {
      if (typeof name === "string" && !names.has(name)) names.set(name, index)
    }
  }
  indexes.set(list, names)
  return names
}
