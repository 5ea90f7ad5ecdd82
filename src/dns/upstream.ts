import { type CheckedMessage, checkMessage } from "./message.ts"
import { lowerCase } from "./name.ts"
import type { ServerAddress } from "./resolv_conf.ts"
import {
  CLASS_IN,
  EDNS_DO,
  FLAG_CD,
  FLAG_RD,
  HEADER_BYTES,
  MAX_UDP_BYTES,
  OFFSET_ARCOUNT,
  OFFSET_FLAGS,
  OFFSET_QDCOUNT,
  OPT_BYTES,
  RCODE_FORMERR,
  RCODE_NOERROR,
  RCODE_NOTIMP,
  RCODE_NXDOMAIN,
  read16,
  TYPE_OPT,
  write16,
} from "./wire.ts"

/** A question for other servers. */
export interface Question {
  /** Labels without the root's zero, in any case. */
  readonly name: Uint8Array
  readonly type: number
  /** DO: DNSSEC records are wanted. */
  readonly dnssec: boolean
  /** CD: they need not be checked. */
  readonly checkingDisabled: boolean
}

/** A socket to one server, from a port that nobody can guess. */
export interface UpstreamUdp {
  send(message: Uint8Array): void
  close(): void
}

/** How other servers are reached. Real ones are in `sys`; a test has its own. */
export interface UpstreamSockets {
  /**
   * Opens a connected socket on a random port.
   *
   * @param onMessage hears what that server sends; @param onError that it cannot be reached
   */
  openUdp(
    server: ServerAddress,
    onMessage: (message: Uint8Array) => void,
    onError: () => void,
  ): Promise<UpstreamUdp>
  /** Asks over TCP; `signal` gives up. The message is without its length. */
  askTcp(server: ServerAddress, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
}

/** Time as a parameter. */
export interface Timers {
  /** Milliseconds, of a clock that no one sets back. */
  now(): number
  /** @returns ends the waiting */
  after(ms: number, action: () => void): () => void
}

/** Settings of {@link Upstreams}. */
export interface UpstreamOptions {
  /** 32 bits at random, that nobody can guess. */
  readonly random: () => number
  /** How long a question may take, with all servers. Default 4000. */
  readonly timeoutMs?: number
  /** A server that has not answered for so long does not answer: the next is asked. Default 1000. */
  readonly patienceMs?: number
  /** Questions at a time; more are refused. Default 512. */
  readonly maxInFlight?: number
}

/** An answer, and whether the server that stands first gave it. */
export interface UpstreamAnswer {
  readonly message: CheckedMessage
  readonly isFirst: boolean
}

/** A server that did not answer is asked last for so long, then in its turn again. */
export const AWAY_MS = 5000
/** How long one is waited for that did not answer the last time. */
const SECOND_CHANCE_MS = 300
const MAX_KNOWN_SERVERS = 256
/** An answer whose question has not the letters' case that was asked in. */
const OTHER_CASE = Symbol()
/** A lost packet is sent again to the same server after so long. */
const RESEND_MS = 500

/**
 * Asks other servers in the order that they are listed in, which is the user's will: the first may
 * know names that the second says are not there. The next is asked only when one does not answer,
 * or says that it cannot (SERVFAIL, REFUSED). A cut-off answer is asked for again over TCP.
 *
 * Letters are asked for in random case, which an answer over UDP must repeat: a forger has to guess
 * them too (draft-vixie-dnsext-dns0x20). A server that does not repeat them is asked over TCP, which
 * cannot be forged from beside the way, and where it has no TCP again in lower case.
 */
export class Upstreams {
  readonly #sockets: UpstreamSockets
  readonly #timers: Timers
  readonly #options: Required<UpstreamOptions>
  /** When servers that did not answer are asked in their turn again, by address and port. */
  readonly #awayUntil = new Map<string, number>()
  #inFlight = 0

  constructor(sockets: UpstreamSockets, timers: Timers, options: UpstreamOptions) {
    this.#sockets = sockets
    this.#timers = timers
    this.#options = {
      timeoutMs: 4000,
      patienceMs: 1000,
      maxInFlight: 512,
      ...options,
    }
  }

  /** @returns undefined when no server gave a good answer in time */
  async ask(
    question: Question,
    servers: readonly ServerAddress[],
  ): Promise<UpstreamAnswer | undefined> {
    if (servers.length === 0 || this.#inFlight >= this.#options.maxInFlight) return undefined
    this.#inFlight += 1
    try {
      return await this.#inTurn(question, servers)
    } finally {
      this.#inFlight -= 1
    }
  }

  #inTurn(
    question: Question,
    listed: readonly ServerAddress[],
  ): Promise<UpstreamAnswer | undefined> {
    const { timeoutMs, patienceMs } = this.#options
    const servers = this.#presentFirst(listed)
    return new Promise((resolve) => {
      const abort = new AbortController()
      let next = 0
      let open = 0
      let findsOut = false
      let cancelNext = (): void => undefined
      const end = (): void => {
        cancelTimeout()
        abort.abort()
      }
      const finish = (answer: UpstreamAnswer | undefined): void => {
        next = servers.length
        cancelNext()
        resolve(answer)
        // A server that may be back may answer after another has, and is there again by that.
        if (!findsOut || open === 0) end()
      }
      const startNext = (): void => {
        cancelNext()
        const server = servers[next++]
        if (server === undefined) return
        open += 1
        const wasAway = this.#awayUntil.has(keyOf(server))
        // One question finds out whether it is back; those beside it do not wait.
        if (wasAway) this.#away(server)
        findsOut ||= wasAway
        cancelNext = this.#timers.after(wasAway ? SECOND_CHANCE_MS : patienceMs, () => {
          this.#away(server)
          startNext()
        })
        void this.#one(question, server, abort.signal).then((message) => {
          open -= 1
          if (message !== undefined) finish({ message, isFirst: server === listed[0] })
          else if (next < servers.length) startNext()
          else if (open === 0) finish(undefined)
        })
      }
      const cancelTimeout = this.#timers.after(timeoutMs, () => {
        finish(undefined)
        end()
      })
      startNext()
    })
  }

  /** One server; undefined when its answer is of no use, or it has none. Never rejects. */
  async #one(
    question: Question,
    server: ServerAddress,
    signal: AbortSignal,
  ): Promise<CheckedMessage | undefined> {
    let message = await this.#exchange(question, server, signal, true).catch(() => undefined)
    if (message?.rcode === RCODE_FORMERR || message?.rcode === RCODE_NOTIMP) {
      // Servers from before EDNS say so (RFC 6891 §6.2.2).
      message = await this.#exchange(question, server, signal, false).catch(() => undefined)
    }
    if (message === undefined && !signal.aborted) this.#away(server)
    if (message !== undefined) this.#awayUntil.delete(keyOf(server))
    const isGood = message?.rcode === RCODE_NOERROR || message?.rcode === RCODE_NXDOMAIN
    return isGood ? message : undefined
  }

  async #exchange(
    question: Question,
    server: ServerAddress,
    signal: AbortSignal,
    edns: boolean,
  ): Promise<CheckedMessage | undefined> {
    const query = this.#encode(question, edns)
    const message = await this.#overUdp(query, server, signal)
    if (message === undefined || (message !== OTHER_CASE && !message.isTruncated)) return message
    const whole = await this.#overTcp(query, server, signal).catch(() => undefined)
    if (message !== OTHER_CASE || whole !== undefined) return whole
    const lower = this.#encode({ ...question, name: question.name.map(lowerCase) }, edns, false)
    const again = await this.#overUdp(lower, server, signal)
    return again === OTHER_CASE || again?.isTruncated === true ? undefined : again
  }

  async #overTcp(
    query: Uint8Array,
    server: ServerAddress,
    signal: AbortSignal,
  ): Promise<CheckedMessage | undefined> {
    const whole = await this.#sockets.askTcp(server, query, signal)
    if (read16(whole, 0) !== read16(query, 0)) return undefined
    const checked = checkMessage(whole, query, true)
    return checked?.isTruncated === false ? checked : undefined
  }

  async #overUdp(
    query: Uint8Array,
    server: ServerAddress,
    signal: AbortSignal,
  ): Promise<CheckedMessage | typeof OTHER_CASE | undefined> {
    const { promise, resolve } = Promise.withResolvers<
      CheckedMessage | typeof OTHER_CASE | undefined
    >()
    const onAbort = (): void => resolve(undefined)
    if (signal.aborted) return undefined
    signal.addEventListener("abort", onAbort)
    const onMessage = (bytes: Uint8Array): void => {
      // What does not fit may be forged: the true answer can still come.
      if (read16(bytes, 0) !== read16(query, 0)) return
      const message = checkMessage(bytes, query, false)
      if (message !== undefined) resolve(message)
      else if (checkMessage(bytes, query, true) !== undefined) resolve(OTHER_CASE)
    }
    let cancelResend = (): void => undefined
    const socket = await this.#sockets.openUdp(server, onMessage, onAbort)
    try {
      if (signal.aborted) return undefined
      socket.send(query)
      cancelResend = this.#timers.after(RESEND_MS, () => socket.send(query))
      return await promise
    } finally {
      cancelResend()
      signal.removeEventListener("abort", onAbort)
      socket.close()
    }
  }

  #encode(
    { name, type, dnssec, checkingDisabled }: Question,
    edns: boolean,
    mixed = true,
  ): Uint8Array {
    const questionEnd = HEADER_BYTES + name.length + 5
    const query = new Uint8Array(questionEnd + (edns ? OPT_BYTES : 0))
    write16(query, 0, this.#options.random() & 0xffff)
    write16(query, OFFSET_FLAGS, FLAG_RD | (checkingDisabled ? FLAG_CD : 0))
    write16(query, OFFSET_QDCOUNT, 1)
    query.set(name, HEADER_BYTES)
    if (mixed) this.#mixCase(query.subarray(HEADER_BYTES, questionEnd - 5))
    write16(query, questionEnd - 4, type)
    write16(query, questionEnd - 2, CLASS_IN)
    if (!edns) return query
    write16(query, OFFSET_ARCOUNT, 1)
    write16(query, questionEnd + 1, TYPE_OPT)
    write16(query, questionEnd + 3, MAX_UDP_BYTES)
    write16(query, questionEnd + 7, dnssec ? EDNS_DO : 0)
    return query
  }

  /** One more bit for a forger to guess with each letter. */
  #mixCase(name: Uint8Array): void {
    for (const [at, byte] of name.entries()) {
      const letter = byte | 0x20
      if (letter < 0x61 || letter > 0x7a) continue
      name[at] = (this.#options.random() & 1) === 0 ? letter : letter & 0xdf
    }
  }

  /** As listed, but behind the others those that did not answer a moment ago. */
  #presentFirst(servers: readonly ServerAddress[]): readonly ServerAddress[] {
    const now = this.#timers.now()
    const isAway = (server: ServerAddress) => (this.#awayUntil.get(keyOf(server)) ?? 0) > now
    const { away = [], present = [] } = Object.groupBy(servers, (server) =>
      isAway(server) ? "away" : "present",
    )
    return [...present, ...away]
  }

  #away(server: ServerAddress): void {
    if (this.#awayUntil.size >= MAX_KNOWN_SERVERS) this.#awayUntil.clear()
    this.#awayUntil.set(keyOf(server), this.#timers.now() + AWAY_MS)
  }
}

function keyOf({ address, port }: ServerAddress): string {
  return `${address} ${port}`
}
