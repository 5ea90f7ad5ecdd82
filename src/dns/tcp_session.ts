import type { Timers } from "./upstream.ts"
import { HEADER_BYTES, read16, write16 } from "./wire.ts"

/** One connection, as `sys` gives it. */
export interface TcpConnection {
  readonly address: string
  write(bytes: Uint8Array): void
  close(): void
}

/** No query that we understand is longer; RFC 1035 §4.2.2 would allow 65,535. */
const MAX_QUERY_BYTES = 4096
/** Queries of one connection that wait for other servers (RFC 7766 §6.2.1.1). */
const MAX_PENDING = 64
/** A message is whole so long after the one before it, or after the connection began (RFC 7766 §6.2.3). */
export const MESSAGE_MS = 10_000

/**
 * The messages of one TCP connection (RFC 7766): each behind two bytes of length, answers in the
 * order in which they are ready. A connection that breaks the rules is closed.
 */
export class TcpSession {
  readonly #connection: TcpConnection
  readonly #onQuery: (query: Uint8Array, reply: (answer: Uint8Array | undefined) => void) => void
  #rest = new Uint8Array(0)
  #pending = 0
  #closed = false
  readonly #timers: Timers
  #cancelDeadline: () => void

  /** @param onQuery must call `reply` once, with nothing for a query that is not to be answered */
  constructor(
    connection: TcpConnection,
    timers: Timers,
    onQuery: (query: Uint8Array, reply: (answer: Uint8Array | undefined) => void) => void,
  ) {
    this.#connection = connection
    this.#timers = timers
    this.#onQuery = onQuery
    this.#cancelDeadline = timers.after(MESSAGE_MS, () => this.#close())
  }

  /** Takes what has come. */
  data(bytes: Uint8Array): void {
    let rest = bytes
    if (this.#rest.length > 0) {
      rest = new Uint8Array(this.#rest.length + bytes.length)
      rest.set(this.#rest)
      rest.set(bytes, this.#rest.length)
    }
    const before = rest
    while (rest.length >= 2 && !this.#closed) {
      const length = read16(rest, 0)
      if (length < HEADER_BYTES || length > MAX_QUERY_BYTES || this.#pending >= MAX_PENDING) {
        this.#close()
        return
      }
      if (rest.length < 2 + length) break
      this.#query(rest.subarray(2, 2 + length))
      rest = rest.subarray(2 + length)
    }
    if (rest !== before) this.#awaitMessage()
    // A copy: what is left is short, and what it came with may be long.
    this.#rest = new Uint8Array(rest)
  }

  /** The connection is gone: what is still to be answered has nobody. */
  end(): void {
    this.#closed = true
    this.#cancelDeadline()
  }

  #awaitMessage(): void {
    this.#cancelDeadline()
    if (!this.#closed) this.#cancelDeadline = this.#timers.after(MESSAGE_MS, () => this.#close())
  }

  #query(query: Uint8Array): void {
    this.#pending += 1
    let done = false
    this.#onQuery(query, (answer) => {
      if (done) return
      done = true
      this.#pending -= 1
      if (this.#closed) return
      // What is no query over UDP is passed over; here nothing good can follow.
      if (answer === undefined) this.#close()
      else this.#connection.write(framed(answer))
    })
  }

  #close(): void {
    this.end()
    this.#connection.close()
  }
}

/** A message behind its length. */
export function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + message.length)
  write16(bytes, 0, message.length)
  bytes.set(message, 2)
  return bytes
}
