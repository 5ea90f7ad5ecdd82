import { createHash } from "node:crypto"
import type { Steps } from "./fair_turns.ts"
import { type Format, renderParts } from "./render.ts"

/** One answer, ready to be sent. */
export interface Answer {
  readonly status: number
  /** Bytes where it is long: they are sent a piece at a time. */
  readonly body: string | Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** Of a body that goes out whole, characters; what a client does not read of it is kept for it. */
const LONGEST_WHOLE = 16_384

const ENCODER = new TextEncoder()
/** The type of every answer, whatever its format. */
export const PLAIN = "text/plain; charset=utf-8"
/** Browsers must not guess another type. */
export const SAFE = { "X-Content-Type-Options": "nosniff" }
/** Pages of any origin may read a value. */
const OPEN = { "Access-Control-Allow-Origin": "*", ...SAFE }

/**
 * An answer of any length, from its parts. JSON and YAML are called plain text too, as clients know
 * it; nothing is ever called HTML: a label that a container was given must not run in the browser of
 * who looks.
 */
export function* success(parts: Iterable<string>, mayBeRead: boolean): Steps<Answer> {
  const hash = createHash("sha256")
  const pieces: string[] = []
  let length = 0
  for (const part of parts) {
    hash.update(part)
    pieces.push(part)
    length += part.length
    yield
  }
  const headers: Record<string, string> = {
    ...(mayBeRead ? OPEN : SAFE),
    ETag: `"${hash.digest("base64url").slice(0, 22)}"`,
  }
  if (length > 0) headers["Content-Type"] = PLAIN
  if (length <= LONGEST_WHOLE) return { status: 200, body: pieces.join(""), headers }
  return { status: 200, body: yield* encoded(pieces, length), headers }
}

/** UTF-8 of texts, written in steps. */
function* encoded(pieces: readonly string[], length: number): Steps<Uint8Array> {
  let bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    // A character takes three bytes at most.
    if (bytes.length - at < 3 * piece.length) {
      const more = new Uint8Array(2 * bytes.length + 3 * piece.length)
      more.set(bytes.subarray(0, at))
      bytes = more
    }
    at += ENCODER.encodeInto(piece, bytes.subarray(at)).written
    yield
  }
  return bytes.slice(0, at)
}

/** An error in the words and the format of the original. */
export function failure(status: number, message: string, format: Format): Answer {
  const body =
    format === "text"
      ? message
      : [...renderParts({ code: status, message, type: "error" }, format)].join("").trimEnd()
  return { status, body: `${body}\n`, headers: { ...OPEN, "Content-Type": PLAIN } }
}

/** An answer as it is sent; the bytes of a long one are not in it. */
export function respond({ status, body, headers }: Answer): Response {
  return new Response(typeof body === "string" ? body : null, { status, headers })
}
