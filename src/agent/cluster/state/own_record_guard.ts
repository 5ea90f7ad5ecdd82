/** Whether this host's own records stand in the store as it wrote them. */

import { Backoffs } from "../../../backoff.ts"
import type { Keyspace, ParsedKey } from "../../../cluster/records/keyspace.ts"
import type { Listing, WatchListener } from "../../../cluster/store/store.ts"

/** What an {@link OwnRecordGuard} works with. */
export interface OwnRecordGuardOptions {
  readonly keys: Keyspace
  /** Hears everything first. */
  readonly next: WatchListener
  /** The records that this host wrote last and that are to stand, by key. */
  readonly written: () => ReadonlyMap<string, string>
  /** Writes a record again; its next text may be another one. */
  readonly putBack: (key: string, parsed: ParsedKey, revision: number) => void
  /** Monotonic milliseconds. */
  readonly clock: () => number
  readonly after: (ms: number, call: () => void) => () => void
}

/**
 * A difference that lasts for so long is none of a write that is on its way, milliseconds: a call of
 * the store fails after some seconds, but answers within one.
 */
const SETTLE_MS = 500
/** From one time that a record is put back to the next, and when that is short again. */
const WAITS = { firstMs: SETTLE_MS, longestMs: 30_000, calmMs: 60_000 }

/**
 * Hears the store before everybody else and has those own records put back that are not as this host
 * wrote them: deleted, written over, or overtaken by an older write of its own that a member of the
 * store held back. Other hosts that know this one are not taken in by such a record; ones that come
 * new have nothing else.
 */
export class OwnRecordGuard implements WatchListener {
  readonly #options: OwnRecordGuardOptions
  /** What stands in the store, where it is not what was written. */
  readonly #odd = new Map<
    string,
    { readonly value: string | undefined; readonly revision: number }
  >()
  readonly #waits = new Backoffs(WAITS)
  #timer: { readonly at: number; readonly cancel: () => void } | undefined
  #stopped = false

  constructor(options: OwnRecordGuardOptions) {
    this.#options = options
  }

  snapshot(listing: Listing): void {
    this.#options.next.snapshot(listing)
    const { entries, revision } = listing
    const there = new Map(entries.map(({ key, value }) => [key, value]))
    for (const key of this.#options.written().keys()) this.#heard(key, there.get(key), revision)
    this.#wake()
  }

  changes(...[changes, revision]: Parameters<WatchListener["changes"]>): void {
    this.#options.next.changes(changes, revision)
    const written = this.#options.written()
    for (const { key, value } of changes) if (written.has(key)) this.#heard(key, value, revision)
    this.#wake()
  }

  /** Puts nothing back any more. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #heard(key: string, value: string | undefined, revision: number): void {
    if (this.#options.written().get(key) === value) this.#odd.delete(key)
    else this.#odd.set(key, { value, revision })
  }

  #wake(): void {
    if (this.#odd.size === 0 || this.#stopped) return
    const { clock, after } = this.#options
    const now = clock()
    const due = Math.min(...[...this.#odd.keys()].map((key) => this.#waits.dueAt(key)))
    const at = Math.max(due, now + SETTLE_MS)
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    const cancel = after(at - now, () => {
      this.#timer = undefined
      this.#look()
      this.#wake()
    })
    this.#timer = { at, cancel }
  }

  #look(): void {
    const { keys, written, putBack, clock } = this.#options
    const now = clock()
    for (const [key, { value, revision }] of [...this.#odd]) {
      const wanted = written().get(key)
      if (wanted !== undefined && wanted !== value && this.#waits.dueAt(key) > now) continue
      this.#odd.delete(key)
      const parsed = keys.parse(key)
      if (wanted === undefined || wanted === value || parsed === undefined) continue
      this.#waits.done(key, now)
      putBack(key, parsed, revision)
    }
  }
}
