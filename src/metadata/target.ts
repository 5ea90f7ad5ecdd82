/** The target of a request: path and query. */

/** Path and query of a request, as they came. */
export interface Target {
  readonly path: string
  /** With its question mark; empty where there is none. */
  readonly query: string
}

/** The target of a request's URL, unchanged: to read it as a URL could fail, and costs more. */
export function targetOf(url: string): Target {
  // A client of HTTP/1.0 that names no host leaves the path alone.
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3)
  const target = start < 0 ? "/" : url.slice(start)
  const end = target.indexOf("?")
  return end < 0
    ? { path: target, query: "" }
    : { path: target.slice(0, end), query: target.slice(end) }
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
