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

/**
 * Finds what a path of the metadata API names: a map by key, a list by index or by the `name` or
 * `uuid` of an element. A path without a match is tried once more in lower case, since the tree of
 * the newest API version has lower-case names. Returns undefined where nothing is.
 */
export function lookup(tree: Tree, path: readonly string[]): Tree | undefined {
  const found = descend(tree, path)
  if (found !== undefined) return found
  const folded = path.map((segment) => segment.toLowerCase())
  return folded.every((segment, at) => segment === path[at]) ? undefined : descend(tree, folded)
}

function descend(tree: Tree, path: readonly string[]): Tree | undefined {
  let here: Tree | undefined = tree
  for (const segment of path) {
    if (here === undefined || here === null) return undefined
    if (isList(here)) here = element(here, segment)
    else if (isMap(here)) here = Object.hasOwn(here, segment) ? here[segment] : undefined
    else return undefined
  }
  return here
}

/** Lists longer than this are indexed by name when one of their elements is asked for by it. */
const SHORT_LIST = 16
const indexes = new WeakMap<readonly Tree[], ReadonlyMap<string, Tree>>()

function element(list: readonly Tree[], segment: string): Tree | undefined {
  if (/^\d{1,15}$/.test(segment)) return list[Number(segment)]
  if (list.length > SHORT_LIST) return indexOf(list).get(segment)
  return list.find((item) => isMap(item) && (item.name === segment || item.uuid === segment))
}

/** The first element of each name and uuid. */
function indexOf(list: readonly Tree[]): ReadonlyMap<string, Tree> {
  const known = indexes.get(list)
  if (known !== undefined) return known
  const index = new Map<string, Tree>()
  for (const item of list) {
    if (!isMap(item)) continue
    for (const name of [item.name, item.uuid]) {
      if (typeof name === "string" && !index.has(name)) index.set(name, item)
    }
  }
  indexes.set(list, index)
  return index
}
