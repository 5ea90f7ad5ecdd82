import type { CheckedMessage } from "./message.ts"
import { HASH_PRIME, HASH_START } from "./name.ts"
import { read16, write16 } from "./wire.ts"

/** Bounds of an {@link AnswerCache}. */
export interface CacheLimits {
  /** Half of each limit is for what was used lately. Default 10,000. */
  readonly maxEntries?: number
  /** Of messages and keys together. Default 4 MiB. */
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

/**
 * Answers of other servers, for as long as these allow; those unused for longest go first. They lie in
 * two pieces of memory as bytes: tens of thousands of objects that live for some minutes each would be
 * left to a garbage collector that is in no hurry.
 */
export class AnswerCache {
  readonly #limits: Required<CacheLimits>
  readonly #now: () => number
  /** Those used lately, and those of the time before that. */
  #young: Generation
  #old: Generation

  /** @param now milliseconds, of a clock that no one sets back */
  constructor(now: () => number, limits: CacheLimits = {}) {
    this.#now = now
    this.#limits = {
      maxEntries: 10_000,
      maxBytes: 4 * 1024 * 1024,
      maxTtlSeconds: 86_400,
      maxNegativeTtlSeconds: 3600,
      ...limits,
    }
    const { maxEntries, maxBytes } = this.#limits
    const half = [Math.max(1, Math.floor(maxEntries / 2)), Math.floor(maxBytes / 2)] as const
    this.#young = new Generation(...half)
    this.#old = new Generation(...half)
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#young.bytes + this.#old.bytes
  }

  get(key: string): KeptAnswer | undefined {
    const hash = hashOf(key)
    const young = this.#young.find(hash, key)
    const entry = young ?? this.#old.find(hash, key)
    if (entry === undefined) return undefined
    const now = this.#now()
    const isOver = now >= entry.until
    if (isOver || young === undefined) this.#drop(hash)
    if (isOver) return undefined
    if (young === undefined) this.#add(hash, key, entry)
    return { message: entry.message, age: Math.floor((now - entry.since) / 1000) }
  }

  /**
   * Keeps an answer as long as it may be kept.
   *
   * @param limitSeconds and no longer than this
   */
  put(key: string, message: CheckedMessage, limitSeconds = Number.POSITIVE_INFINITY): void {
    const { maxTtlSeconds, maxNegativeTtlSeconds } = this.#limits
    const hash = hashOf(key)
    this.#drop(hash)
    const isNegative = message.counts[0] === 0
    const most = isNegative ? maxNegativeTtlSeconds : maxTtlSeconds
    const seconds = Math.min(message.ttlSeconds, most, limitSeconds)
    if (seconds <= 0) return
    const since = this.#now()
    this.#add(hash, key, { message, since, until: since + seconds * 1000 })
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }

  #add(hash: number, key: string, entry: Entry): void {
    if (this.#young.add(hash, key, entry)) return
    ;[this.#young, this.#old] = [this.#old, this.#young]
    this.#young.clear()
    // What is too long for all of it is not kept.
    this.#young.add(hash, key, entry)
  }

  #drop(hash: number): void {
    this.#young.drop(hash)
    this.#old.drop(hash)
  }
}

interface Entry {
  readonly message: CheckedMessage
  readonly since: number
  readonly until: number
}

/** Since, until, TTL; lengths of key, TTLs and message; code; counts of records. */
const HEAD_BYTES = 3 * 8 + 7 * 2

/** Entries one behind the other, until there is no room for more. */
class Generation {
  readonly #most: number
  readonly #room: number
  /** Where an entry is, by the hash of its key: the last one with that hash. */
  readonly #offsets = new Map<number, number>()
  #memory = new DataView(new ArrayBuffer(0))
  #end = 0
  #bytes = 0

  constructor(most: number, room: number) {
    this.#most = most
    this.#room = room
  }

  get size(): number {
    return this.#offsets.size
  }

  get bytes(): number {
    return this.#bytes
  }

  clear(): void {
    this.#offsets.clear()
    this.#end = 0
    this.#bytes = 0
  }

  /** False where there is no room. */
  add(hash: number, key: string, { message, since, until }: Entry): boolean {
    const { bytes, rcode, counts, ttls, ttlSeconds } = message
    const lengths = [key.length, ttls.length, bytes.length] as const
    const length = HEAD_BYTES + key.length + 2 * ttls.length + bytes.length
    if (this.#offsets.size >= this.#most || this.#end + length > this.#room) return false
    // Pages that nothing was written to are none.
    if (this.#memory.byteLength === 0) this.#memory = new DataView(new ArrayBuffer(this.#room))
    const memory = this.#memory
    const all = new Uint8Array(memory.buffer)
    let at = this.#end
    for (const value of [since, until, ttlSeconds]) {
      memory.setFloat64(at, value)
      at += 8
    }
    for (const value of [...lengths, rcode, ...counts]) {
      write16(all, at, value)
      at += 2
    }
    for (let index = 0; index < key.length; index++) all[at++] = key.charCodeAt(index)
    for (const ttl of ttls) {
      write16(all, at, ttl)
      at += 2
    }
    all.set(bytes, at)
    this.#offsets.set(hash, this.#end)
    this.#end += length
    this.#bytes += length
    return true
  }

  find(hash: number, key: string): Entry | undefined {
    const start = this.#offsets.get(hash)
    if (start === undefined) return undefined
    const memory = this.#memory
    const all = new Uint8Array(memory.buffer)
    const number = (index: number) => read16(all, start + 3 * 8 + 2 * index)
    let at = start + HEAD_BYTES
    if (number(0) !== key.length) return undefined
    for (let index = 0; index < key.length; index++) {
      if (all[at++] !== key.charCodeAt(index)) return undefined
    }
    const ttls = Array.from({ length: number(1) }, (_, index) => read16(all, at + 2 * index))
    at += 2 * ttls.length
    const message: CheckedMessage = {
      bytes: all.slice(at, at + number(2)),
      rcode: number(3),
      isTruncated: false,
      counts: [number(4), number(5), number(6)],
      ttls,
      ttlSeconds: memory.getFloat64(start + 16),
    }
    return { message, since: memory.getFloat64(start), until: memory.getFloat64(start + 8) }
  }

  drop(hash: number): void {
    const start = this.#offsets.get(hash)
    if (start === undefined) return
    this.#offsets.delete(hash)
    const all = new Uint8Array(this.#memory.buffer)
    const [key = 0, ttls = 0, bytes = 0] = [0, 1, 2].map((index) =>
      read16(all, start + 3 * 8 + 2 * index),
    )
    this.#bytes -= HEAD_BYTES + key + 2 * ttls + bytes
  }
}

/** FNV-1a, as of names. The key's characters are bytes. */
function hashOf(key: string): number {
  let hash = HASH_START
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), HASH_PRIME)
  }
  return hash
}
