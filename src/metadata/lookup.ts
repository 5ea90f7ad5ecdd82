/** Any value of the metadata tree. */
export type Tree =
  | string
  | number
  | boolean
  | null
  | readonly Tree[]
  | { readonly [key: string]: Tree }

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
  return descend(
    tree,
    path.map((segment) => segment.toLowerCase()),
  )
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

function element(list: readonly Tree[], segment: string): Tree | undefined {
  if (/^\d+$/.test(segment)) return list[Number(segment)]
  return list.find((item) => isMap(item) && (item.name === segment || item.uuid === segment))
}
