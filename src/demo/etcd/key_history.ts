/**
 * Keys with their history, in memory: what an etcd keeps (its key-value API, "logical view"). Every
 * transaction that writes makes a revision; older states can be read until they are forgotten.
 */

import { LariatError } from "../../errors.ts"

/** A text with a character for each byte: keys are bytes, and are ordered as such. */
export type ByteText = string

/** A value at a revision, or a deletion (`value` undefined). */
export interface KeyVersion {
  readonly key: ByteText
  readonly value: ByteText | undefined
  /** The revision that made the key, and the one that wrote this; a deletion has no first. */
  readonly created: number
  readonly revision: number
  /** How often it was written since it was made. */
  readonly version: number
  /** "0": none. */
  readonly lease: string
}

/** Keys from `first` up to `end`, which is not one of them; undefined: `first` alone; "": all. */
export interface ByteRange {
  readonly first: ByteText
  readonly end: ByteText | undefined
}

/** One write of a transaction; `value` undefined deletes all keys of the range. */
export type HistoryWrite =
  | { readonly key: ByteText; readonly value: ByteText; readonly lease: string }
  | { readonly range: ByteRange; readonly value?: undefined }

/** Hears what each transaction wrote. A call must not throw. */
export type HistoryListener = (events: readonly KeyVersion[]) => void

/** Nothing was written yet; 0 stands for "no such key". */
const FIRST_REVISION = 1
/** Events that are kept. Behind that the older half is forgotten. */
const MAX_EVENTS = 20_000

export class KeyHistory {
  /** All keys that have a version, deleted ones too, in order. */
  readonly #keys: ByteText[] = []
  readonly #versions = new Map<ByteText, KeyVersion[]>()
  readonly #listeners = new Set<HistoryListener>()
  readonly #maxEvents: number
  #events: KeyVersion[] = []
  #revision = FIRST_REVISION
  #compacted = 0

  /** @param options maxEvents: events that are kept at most; default 20,000 */
  constructor(options: { readonly maxEvents?: number } = {}) {
    this.#maxEvents = options.maxEvents ?? MAX_EVENTS
  }

  /** Of the last write. */
  get revision(): number {
    return this.#revision
  }

  /** States before this revision are forgotten; 0: none is. */
  get compacted(): number {
    return this.#compacted
  }

  /** The key as it is. */
  get(key: ByteText): KeyVersion | undefined {
    const version = this.#versions.get(key)?.at(-1)
    return version?.value === undefined ? undefined : version
  }

  /**
   * Keys of a range in order, as they were.
   *
   * @param revision of a state that is remembered: from {@link compacted} to the present one
   */
  range(range: ByteRange, revision = this.#revision): KeyVersion[] {
    const found: KeyVersion[] = []
    for (const key of this.#keysIn(range)) {
      const version = this.#versions.get(key)?.findLast((each) => each.revision <= revision)
      if (version?.value !== undefined) found.push(version)
    }
    return found
  }

  /**
   * Writes all of it as one revision; where nothing changes there is none.
   *
   * @returns what was written, in order
   * @throws LariatError `decode` when one key is written twice; nothing is written then
   */
  write(writes: readonly HistoryWrite[]): readonly KeyVersion[] {
    const revision = this.#revision + 1
    const events = writes.flatMap((write): KeyVersion[] => {
      if (write.value === undefined) {
        return this.range(write.range).map((last) => deletion(last, revision))
      }
      const last = this.get(write.key)
      return [
        {
          key: write.key,
          value: write.value,
          created: last?.created ?? revision,
          revision,
          version: (last?.version ?? 0) + 1,
          lease: write.lease,
        },
      ]
    })
    if (new Set(events.map(({ key }) => key)).size < events.length) {
      throw new LariatError("Cannot write: one key is written twice in one transaction", {
        code: "decode",
      })
    }
    if (events.length === 0) return events
    this.#revision = revision
    for (const event of events) this.#add(event)
    this.#events = this.#events.concat(events)
    if (this.#events.length > this.#maxEvents) this.#forgetHalf()
    for (const listener of [...this.#listeners]) listener(events)
    return events
  }

  /** What was written from a revision on, oldest first; not from before {@link compacted}. */
  since(revision: number): readonly KeyVersion[] {
    const from = this.#events.findIndex((event) => event.revision >= revision)
    return from < 0 ? [] : this.#events.slice(from)
  }

  /** Hears each later transaction. @returns ends that */
  listen(listener: HistoryListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  *#keysIn({ first, end }: ByteRange): Iterable<ByteText> {
    if (end === undefined) {
      yield first
      return
    }
    for (let at = this.#placeOf(first); at < this.#keys.length; at++) {
      const key = this.#keys[at]
      if (key === undefined || (end !== "" && key >= end)) return
      yield key
    }
  }

  /** Where the first key is that is not before this one. */
  #placeOf(key: ByteText): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] ?? "") < key) low = middle + 1
      else high = middle
    }
    return low
  }

  #add(event: KeyVersion): void {
    const versions = this.#versions.get(event.key)
    if (versions !== undefined) {
      versions.push(event)
      return
    }
    this.#versions.set(event.key, [event])
    this.#keys.splice(this.#placeOf(event.key), 0, event.key)
  }

  /** Forgets the older half of the events, and the states that need them. */
  #forgetHalf(): void {
    const middle = this.#events[this.#events.length >>> 1]
    if (middle === undefined) return
    this.#compacted = middle.revision
    this.#events = this.#events.filter(({ revision }) => revision >= this.#compacted)
    for (const [key, versions] of this.#versions) {
      const base = versions.findLastIndex(({ revision }) => revision <= this.#compacted)
      // A deletion that no state remembers needs no place.
      const from = versions[base]?.value === undefined ? base + 1 : base
      versions.splice(0, from)
      if (versions.length > 0) continue
      this.#versions.delete(key)
      this.#keys.splice(this.#placeOf(key), 1)
    }
  }
}

/** Whether a key lies in a range. */
export function inRange({ first, end }: ByteRange, key: ByteText): boolean {
  if (end === undefined) return key === first
  return key >= first && (end === "" || key < end)
}

function deletion({ key }: KeyVersion, revision: number): KeyVersion {
  return { key, value: undefined, created: 0, revision, version: 0, lease: "0" }
}
