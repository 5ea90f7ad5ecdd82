/** How a request to one member of etcd can fail, and what follows from it. */

import * as z from "zod/mini"
import { LariatError, messageOf } from "../../../errors.ts"

// google/rpc/code.proto
const INVALID_ARGUMENT = 3
const NOT_FOUND = 5
const PERMISSION_DENIED = 7
const FAILED_PRECONDITION = 9
const OUT_OF_RANGE = 11
const UNIMPLEMENTED = 12
const UNAUTHENTICATED = 16

/** Of the request itself: every member would say the same. */
const FINAL_CODES: ReadonlySet<number> = new Set([
  ...[INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE],
  ...[UNIMPLEMENTED, UNAUTHENTICATED],
])
/** etcd's words for a token that it does not take, or none where it wants one (rpctypes/error.go). */
const TOKEN_WORDS = /invalid auth token|user name is empty|revision of auth store is old/
/** Said before anything is proposed to the other members. */
const UNTOUCHED_WORDS = /no leader$/
/** How the runtimes say that nobody listens, or that no connection came about. */
const UNCONNECTED_WORDS =
  /ECONNREFUSED|ConnectionRefused|Connection refused|FailedToOpenSocket|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|No route to host|Network is unreachable|dns error|CERT_|certificate/i

/** The most of a foreign text that goes into an error. */
const MAX_QUOTE = 200

export interface EtcdFailureDetails {
  /** The gRPC status, where the member gave one. */
  readonly code?: number | undefined
  /** The request surely changed nothing. Default false. */
  readonly untouched?: boolean
  /** It said nothing for too long. Default false. */
  readonly silent?: boolean
  readonly cause?: unknown
}

/** Why one member did not do what it was asked. */
export class EtcdFailure extends Error {
  override readonly name = "EtcdFailure"
  readonly code: number | undefined
  readonly untouched: boolean
  readonly silent: boolean

  constructor(message: string, details: EtcdFailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = details.code
    this.untouched = details.untouched ?? false
    this.silent = details.silent ?? false
  }

  /** No other member would answer otherwise. */
  get final(): boolean {
    return this.code !== undefined && FINAL_CODES.has(this.code)
  }

  /** Another token may help. */
  get staleToken(): boolean {
    return this.code === UNAUTHENTICATED || TOKEN_WORDS.test(this.message)
  }

  /** Whoever asks may not, or is not known. */
  get denied(): boolean {
    return this.code === PERMISSION_DENIED || this.staleToken
  }

  get authOff(): boolean {
    return this.code === FAILED_PRECONDITION && /authentication is not enabled/.test(this.message)
  }
}

/** `google.rpc.Status` as the gateway writes it: with its message twice, or in a stream's words. */
const status = z.object({
  message: z.optional(z.string()),
  error: z.optional(z.string()),
  code: z.optional(z.number()),
  grpc_code: z.optional(z.number()),
})

/** A refusal in the words of the gateway. */
export function refusalOf(body: unknown): EtcdFailure {
  const { data } = status.safeParse(body)
  const said = data?.message ?? data?.error
  const message = said === undefined ? "it gives no reason" : quote(said)
  const code = data?.grpc_code ?? data?.code
  return new EtcdFailure(message, { code, untouched: UNTOUCHED_WORDS.test(message) })
}

/** What an answer with a bad status says. */
export function statusFailure(httpStatus: number, text: string): EtcdFailure {
  try {
    const { data } = status.safeParse(parseJson(text))
    if (data?.message !== undefined || data?.error !== undefined) return refusalOf(data)
  } catch {
    // A proxy's page, or another program's: its text explains nothing.
  }
  return new EtcdFailure(`HTTP status ${httpStatus}, not from etcd`)
}

/** @throws LariatError decode */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new LariatError("Cannot read an answer of etcd: it is no JSON", { code: "decode", cause })
  }
}

/** Anything that a request threw. */
export function failureOf(error: unknown): EtcdFailure {
  if (error instanceof EtcdFailure) return error
  const message = messageOf(error)
  if (error instanceof LariatError) return new EtcdFailure(message, { cause: error })
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : ""
  const untouched = UNCONNECTED_WORDS.test(`${code} ${message} ${cause}`)
  return new EtcdFailure(quote(reasonOf(code, message, cause)), { untouched, cause: error })
}

/** Whether etcd refused a call for a revision that is compacted, or that its history never had. */
export function isOutOfRange(error: unknown): boolean {
  return (
    error instanceof LariatError &&
    error.cause instanceof EtcdFailure &&
    error.cause.code === OUT_OF_RANGE
  )
}

/** What the runtimes say, by what it means; their own texts advise a person at a browser. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/refused/i, "connection refused"],
  [/ECONNRESET|socket connection was closed/i, "the connection broke"],
  [/ALTNAME|NotValidForName/i, "its certificate is for another name"],
  [
    /UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|SELF_SIGNED|UnknownIssuer/i,
    "its certificate is of an authority that is not trusted: storeCa names the right one",
  ],
  [/CERT_HAS_EXPIRED|Expired/i, "its certificate has expired"],
  [
    /EPROTO|handshake|CertificateRequired/i,
    "the TLS handshake failed: it may want a client certificate (storeCert, storeKey), or speak no TLS",
  ],
]

function reasonOf(code: string, message: string, cause: string): string {
  const said = `${code} ${message} ${cause}`
  const known = REASONS.find(([words]) => words.test(said))
  if (known !== undefined) return known[1]
  const most = cause === "" ? message : cause
  return code === "" || most.includes(code) ? most : `${most} (${code})`
}

/** A foreign text, cut to what helps. */
export function quote(text: string): string {
  const plain = text.replace(/\s+/g, " ").trim()
  return plain.length <= MAX_QUOTE ? plain : `${plain.slice(0, MAX_QUOTE)}…`
}
