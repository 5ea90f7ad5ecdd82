import { createHash } from "node:crypto"
import { type Format, render } from "./render.ts"

/** One answer, ready to be sent. */
export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

/** The type of every answer, whatever its format. */
export const PLAIN = "text/plain; charset=utf-8"
/** Browsers must not guess another type. */
export const SAFE = { "X-Content-Type-Options": "nosniff" }
/** Pages of any origin may read a value. */
const OPEN = { "Access-Control-Allow-Origin": "*", ...SAFE }

/**
 * An answer of any length. JSON and YAML are called plain text too, as clients know it; nothing is
 * ever called HTML: a label that a container was given must not run in the browser of who looks.
 */
export function success(body: string): Answer {
  const headers: Record<string, string> = {
    ...OPEN,
    ETag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`,
  }
  if (body !== "") headers["Content-Type"] = PLAIN
  return { status: 200, body, headers }
}

/** An error in the words and the format of the original. */
export function failure(status: number, message: string, format: Format): Answer {
  const body =
    format === "text" ? message : render({ code: status, message, type: "error" }, format).trimEnd()
  return { status, body: `${body}\n`, headers: { ...OPEN, "Content-Type": PLAIN } }
}

/** An answer as it is sent. */
export function respond({ status, body, headers }: Answer): Response {
  return new Response(body, { status, headers })
}
