/** The target of a request: path and query. */

/** A target in its parts, as they came. */
export interface Target {
  readonly path: string
  /** Without the question mark; empty where there is none. */
  readonly query: string
}

/** Path and query of a request's URL, unchanged: to read it as a URL could fail, and costs more. */
export function targetOf(url: string): string {
  // A client of HTTP/1.0 that names no host leaves the path alone.
  if (url.startsWith("/")) return url
  const at = url.indexOf("/", url.indexOf("://") + 3)
  return at < 0 ? "/" : url.slice(at)
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
