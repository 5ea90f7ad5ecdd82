/** HTTP GET over a plain socket, without an event loop: for use inside a network namespace. */

import { familyOf } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { check } from "../ffi/errno.ts"
import { concat } from "../ffi/file.ts"
import { libc } from "../ffi/libc.ts"
import { deadlineIn } from "../ffi/poll.ts"
import { connectBy, openSocket, receiveBy, SOCK_NONBLOCK, SOCK_STREAM, sendBy } from "./socket.ts"
import { ipSocketAddress } from "./socket_address.ts"

/** An HTTP answer. */
export interface HttpAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
}

/** Options of {@link httpGet}. */
export interface HttpGetOptions {
  /** For the whole call. Default 2000. */
  readonly timeoutMs?: number
  /** Of the whole answer, with its head. Default 1 MiB. */
  readonly maxBytes?: number
  /** The source address. Default: what the routes say. */
  readonly from?: string
  /** More request headers. Default none. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The offset behind the empty line that ends the head, -1 while it has not come. */
function endOfHead(bytes: Uint8Array): number {
  for (let index = 3; index < bytes.length; index++) {
    if (bytes[index] !== 10 || bytes[index - 2] !== 10) continue
    if (bytes[index - 1] === 13 && bytes[index - 3] === 13) return index + 1
  }
  return -1
}

function decodeError(url: string, why: string): LariatError {
  return new LariatError(`Cannot read the answer of ${url}: ${why}`, { code: "decode" })
}

function parseHead(head: string, url: string): { status: number; headers: Map<string, string> } {
  const [statusLine = "", ...lines] = head.split("\r\n")
  const status = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: |$)/.exec(statusLine)?.[1]
  if (status === undefined) throw decodeError(url, "it does not begin like HTTP/1")
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon < 1) continue
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  return { status: Number(status), headers }
}

/** The length the head announces; undefined where the answer ends with the connection. */
function announcedLength(headers: ReadonlyMap<string, string>): number | undefined {
  const text = headers.get("content-length")
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}

/** Whether head and body are there; looks for the head again only while it is missing. */
function completeness(url: string): (received: number, chunks: readonly Uint8Array[]) => boolean {
  let wanted: number | undefined
  let headSeen = false
  return (received, chunks) => {
    if (!headSeen) {
      const bytes = concat(chunks, received)
      const end = endOfHead(bytes)
      if (end < 0) return false
      headSeen = true
      const { headers } = parseHead(new TextDecoder().decode(bytes.subarray(0, end)), url)
      const length = announcedLength(headers)
      wanted = length === undefined ? undefined : end + length
    }
    return wanted !== undefined && received >= wanted
  }
}

/**
 * Gets one resource over HTTP/1.0 and blocks until it is there.
 *
 * @param path as it goes on the wire: it must be encoded, and begins with "/"
 * @throws SystemError, SocketTimeout, LariatError io when the answer is too large, decode when it
 * is no HTTP or ends early
 */
export function httpGet(
  ip: string,
  port: number,
  path: string,
  options: HttpGetOptions = {},
): HttpAnswer {
  const { timeoutMs = 2000, maxBytes = 1_048_576, from, headers = {} } = options
  const host = familyOf(ip) === 6 ? `[${ip}]` : ip
  const url = `http://${host}:${port}${path}`
  const deadline = deadlineIn(timeoutMs)
  const address = ipSocketAddress(ip, port)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const request = `GET ${path} HTTP/1.0\r\nHost: ${host}:${port}\r\n${lines.join("")}\r\n`
  if (/[^\x20-\x7e]/.test(path) || path.includes(" ") || !path.startsWith("/")) {
    throw new LariatError(`Cannot get ${JSON.stringify(path)}: it is no encoded path`, {
      code: "usage",
    })
  }
  const fd = openSocket(address.family, SOCK_STREAM | SOCK_NONBLOCK)
  try {
    if (from !== undefined) {
      const { bytes } = ipSocketAddress(from, 0)
      check(libc.bind(fd, bytes, bytes.length), "bind", `connect from ${from}`)
    }
    connectBy(fd, address, deadline, `connect to ${ip} port ${port}`)
    sendBy(fd, new TextEncoder().encode(request), deadline, `get ${url}`)
    const answer = receiveBy(fd, maxBytes, deadline, `get ${url}`, completeness(url))
    const end = endOfHead(answer)
    if (end < 0) throw decodeError(url, "it ends before its head does")
    const head = parseHead(new TextDecoder().decode(answer.subarray(0, end)), url)
    if (head.headers.has("transfer-encoding")) {
      throw decodeError(url, "it is chunked, which HTTP/1.0 does not know")
    }
    const body = answer.slice(end, end + (announcedLength(head.headers) ?? answer.length))
    if (body.length < (announcedLength(head.headers) ?? 0)) {
      throw decodeError(url, "it ends before its announced length")
    }
    return { ...head, body }
  } finally {
    libc.close(fd)
  }
}
