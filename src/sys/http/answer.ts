/** Answers as they go over the wire. */

/** An answer. One that is given again as the same object is encoded once. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** How the connection and the request shape an answer. */
export interface Framing {
  readonly method: string
  /** The connection goes on. */
  readonly keepAlive: boolean
  /** It must be said that it does. */
  readonly old: boolean
}

/** An answer's parts, texts with a character for each byte. */
interface Encoded {
  readonly head: string
  body: string | Buffer
  /** Head and body as they went out last, of which `body` is a part; never written into again. */
  whole?: { readonly head: string; readonly bytes: Buffer }
}

/** Bytes from which a body is kept as such: to turn short texts into bytes is quicker than to copy. */
const KEPT_AS_BYTES = 1024
/** Bytes up to which head and body are kept as one piece: one write is quicker than two. */
const MOST_WHOLE = 64 * 1024

/** RFC 9110 §15, as far as this program says them. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  301: "Moved Permanently",
  304: "Not Modified",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
}

const encodings = new WeakMap<HttpAnswer, Encoded>()

/**
 * An answer with its length and date, in the pieces that are to be written.
 *
 * @throws TypeError when a header could be read as more than one
 */
export function encodeAnswer(
  answer: HttpAnswer,
  { method, keepAlive, old }: Framing,
): readonly (string | Buffer)[] {
  let encoded = encodings.get(answer)
  if (encoded === undefined) {
    encoded = encode(answer)
    encodings.set(answer, encoded)
  }
  const connection = keepAlive ? (old ? "Connection: keep-alive\r\n" : "") : "Connection: close\r\n"
  const head = `${encoded.head}${dateLine()}${connection}\r\n`
  const { body } = encoded
  if (method === "HEAD") return [head]
  if (typeof body === "string") return [head + body]
  if (body.length > MOST_WHOLE) return [head, body]
  // Within a second the same bytes are sent to all who ask.
  if (encoded.whole?.head !== head) {
    const bytes = Buffer.allocUnsafeSlow(head.length + body.length)
    bytes.write(head, "latin1")
    bytes.set(body, head.length)
    encoded.whole = { head, bytes }
    encoded.body = bytes.subarray(head.length)
  }
  return [encoded.whole.bytes]
}

/** A refusal in a few plain words. */
export function refusal(status: number): HttpAnswer {
  return {
    status,
    headers: { "Content-Type": "text/plain; charset=utf-8" },
    body: `${REASONS[status] ?? status}\n`,
  }
}

function encode({ status, headers, body }: HttpAnswer): Encoded {
  const lines = Object.entries(headers).map(([name, value]) => {
    if (!/^[\w-]+$/.test(name) || !/^[\t -~\x80-\xff]*$/.test(value)) {
      throw new TypeError(`Cannot send the header ${JSON.stringify(name)}: it is no header`)
    }
    return `${name}: ${value}\r\n`
  })
  const bytes = Buffer.from(body, "utf8")
  // RFC 9110 §8.6: with 304 it would be the length of the answer that is not sent.
  const length = status === 304 ? "" : `Content-Length: ${bytes.length}\r\n`
  const head = `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("")}${length}`
  return { head, body: bytes.length < KEPT_AS_BYTES ? bytes.toString("latin1") : bytes }
}

let dateSecond = 0
let date = ""

function dateLine(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    date = `Date: ${new Date(second * 1000).toUTCString()}\r\n`
  }
  return date
}
