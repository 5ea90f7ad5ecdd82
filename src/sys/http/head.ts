/** The head of an HTTP/1 request: what RFC 9112 lets it be, and no more. */

/** A request's head, read. It is shared by requests that say the same, and never changed. */
export interface HttpHead {
  readonly method: string
  /** Path and query as they came; where a proxy's form names a host, without it. */
  readonly target: string
  /** By name in lower case; several of a name are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  /** The connection goes on after the answer. */
  readonly keepAlive: boolean
  /** HTTP/1.0, whose clients must be told that the connection goes on. */
  readonly old: boolean
  /** Bytes that follow the head; Infinity where only their end will tell. */
  readonly bodyBytes: number
}

/** Header lines in one request. */
const MAX_LINES = 64
/** Bytes of a target. A path beyond this is no key of anything. */
const MAX_TARGET = 8192

/** RFC 9110 §5.6.2: a token. */
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\xff]+) HTTP\/1\.([01])$/
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*)$/
/** RFC 9112 §3.2.2. */
const ABSOLUTE = /^https?:\/\/[^/?#]*/i

/** What clients of one program say is the same each time: it is read once. */
const known = new Map<string, HttpHead>()
const MAX_KNOWN = 1024
const MAX_KNOWN_LENGTH = 512

/**
 * Reads a head.
 *
 * @param text everything before the empty line, a character for each byte
 * @returns the status to refuse it with, where it is none: 400, 414, 431 or 505
 */
export function parseHead(text: string): HttpHead | number {
  const before = known.get(text)
  if (before !== undefined) return before
  const head = readHead(text)
  if (typeof head !== "number" && text.length <= MAX_KNOWN_LENGTH) {
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(text, head)
  }
  return head
}

function readHead(text: string): HttpHead | number {
  const [requestLine = "", ...lines] = text.split("\r\n")
  const [, method, target, minor] = REQUEST_LINE.exec(requestLine) ?? []
  if (method === undefined || target === undefined) {
    return / HTTP\/[02-9](\.\d)?$/.test(requestLine) ? 505 : 400
  }
  if (target.length > MAX_TARGET) return 414
  if (lines.length > MAX_LINES) return 431
  const path = pathOf(target)
  const headers = path === undefined ? undefined : readFields(lines)
  if (path === undefined || headers === undefined) return 400
  const old = minor === "0"
  const host = headers.get("host")
  // Two hosts, or none: RFC 9112 §3.2 demands a refusal.
  if (host === undefined ? !old : host.includes(",")) return 400
  const bodyBytes = bodyOf(headers)
  if (bodyBytes === undefined) return 400
  const options = headers.get("connection")?.toLowerCase() ?? ""
  const keepAlive = old ? /\bkeep-alive\b/.test(options) : !/\bclose\b/.test(options)
  return { method, target: path, headers, keepAlive, old, bodyBytes }
}

/** The target from its path on, its bytes read as UTF-8. */
function pathOf(target: string): string | undefined {
  const path = target.startsWith("/") ? target : target.replace(ABSOLUTE, "")
  const whole = path === "" || path.startsWith("?") ? `/${path}` : path
  if (!whole.startsWith("/") || (target !== whole && !ABSOLUTE.test(target))) return undefined
  return /[\x80-\xff]/.test(whole) ? Buffer.from(whole, "latin1").toString("utf8") : whole
}

function readFields(lines: readonly string[]): Map<string, string> | undefined {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = FIELD_LINE.exec(line) ?? []
    if (name === undefined || value === undefined) return undefined
    const key = name.toLowerCase()
    const before = headers.get(key)
    const text = value.trimEnd()
    headers.set(key, before === undefined ? text : `${before}, ${text}`)
  }
  return headers
}

/** Undefined where a length is none, or is said twice: whose end that is, is a matter of opinion. */
function bodyOf(headers: ReadonlyMap<string, string>): number | undefined {
  const length = headers.get("content-length")
  if (headers.has("transfer-encoding"))
    return length === undefined ? Number.POSITIVE_INFINITY : undefined
  if (length === undefined) return 0
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined
}
