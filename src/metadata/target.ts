/** The target of a request: path and query. */

/** A target in its parts, as they came. */
export interface Target {
  readonly path: string
  /** Without the question mark; empty where there is none. */
  readonly query: string
}

/** Splits a target at its query. */
export function splitTarget(target: string): Target {
  const at = target.indexOf("?")
  if (at < 0) return { path: target, query: "" }
  return { path: target.slice(0, at), query: target.slice(at + 1) }
}

/** A path without empty segments and dots, as Go's path.Clean makes it; its last slash stays. */
export function cleanPath(path: string): string {
  // Nearly all are clean.
  if (path.startsWith("/") && !/\/(?:\.{0,2}\/|\.{1,2}$)/.test(path)) return path
  const kept: string[] = []
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop()
    else if (segment !== "" && segment !== ".") kept.push(segment)
  }
  const slash = kept.length > 0 && path.endsWith("/") ? "/" : ""
  return `/${kept.join("/")}${slash}`
}
