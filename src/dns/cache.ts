import type { CheckedMessage } from "./message.ts"

/** Bounds of an {@link AnswerCache}. */
export interface CacheLimits {
  /** Default 10,000. */
  readonly maxEntries?: number
  /** Of messages and keys together. Default 8 MiB. */
  readonly maxBytes?: number
  /** Seconds; whatever lives longer is asked for again. Default one day (RFC 8767 §4: days). */
  readonly maxTtlSeconds?: number
  /** Seconds, for "not there". Default one hour (RFC 2308 §5: one to three hours). */
  readonly maxNegativeTtlSeconds?: number
}

/** An answer that is kept, and how old it is. */
export interface KeptAnswer {
  readonly message: CheckedMessage
  /** Whole seconds. */
  readonly age: number
}

interface Slot {
  readonly message: CheckedMessage
  readonly bytes: number
  readonly since: number
  readonly until: number
}

/** What an entry weighs beside its bytes, roughly. */
const ENTRY_BYTES = 300

/** Answers of other servers, for as long as these allow; the one unused for longest goes first. */
export class AnswerCache {
  readonly #limits: Required<CacheLimits>
  readonly #now: () => number
  /** In the order of their last use. */
  readonly #slots = new Map<string, Slot>()
  #bytes = 0

  /** @param now milliseconds, of a clock that no one sets back */
  constructor(now: () => number, limits: CacheLimits = {}) {
    this.#now = now
    this.#limits = {
      maxEntries: 10_000,
      maxBytes: 8 * 1024 * 1024,
      maxTtlSeconds: 86_400,
      maxNegativeTtlSeconds: 3600,
      ...limits,
    }
  }

  get size(): number {
    return this.#slots.size
  }

  /** Bytes that are kept, roughly. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): KeptAnswer | undefined {
    const slot = this.#slots.get(key)
    if (slot === undefined) return undefined
    const now = this.#now()
    this.#drop(key, slot)
    if (now >= slot.until) return undefined
    this.#slots.set(key, slot)
    this.#bytes += slot.bytes
    return { message: slot.message, age: Math.floor((now - slot.since) / 1000) }
  }

  /**
   * Keeps an answer as long as it may be kept.
   *
   * @param limitSeconds and no longer than this
   */
  put(key: string, message: CheckedMessage, limitSeconds = Number.POSITIVE_INFINITY): void {
    const { maxEntries, maxBytes, maxTtlSeconds, maxNegativeTtlSeconds } = this.#limits
    const before = this.#slots.get(key)
    if (before !== undefined) this.#drop(key, before)
    const isNegative = message.counts[0] === 0
    const most = isNegative ? maxNegativeTtlSeconds : maxTtlSeconds
    const seconds = Math.min(message.ttlSeconds, most, limitSeconds)
    const bytes = ENTRY_BYTES + key.length + message.bytes.length + 8 * message.ttls.length
    if (seconds <= 0 || bytes > maxBytes) return
    const now = this.#now()
    this.#slots.set(key, { message, bytes, since: now, until: now + seconds * 1000 })
    this.#bytes += bytes
    for (const [oldest, slot] of this.#slots) {
      if (this.#slots.size <= maxEntries && this.#bytes <= maxBytes) return
      this.#drop(oldest, slot)
    }
  }

  clear(): void {
    this.#slots.clear()
    this.#bytes = 0
  }

  #drop(key: string, slot: Slot): void {
    this.#slots.delete(key)
    this.#bytes -= slot.bytes
  }
}
