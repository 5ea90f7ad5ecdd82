/** Records that stand in the store and are not believed, since something that they need is missing. */

import type { ParsedKey } from "../records/keyspace.ts"
import type { Change } from "../store/store.ts"

/** A change and what its key is about. */
export type PlacedChange = Change & { readonly parsed: ParsedKey }

/** A record that may hold later: once its host's identity is there, or a block is released. */
export interface RefusedRecord {
  readonly change: PlacedChange
  /** The host that it says it is of; anybody's word. */
  readonly hostId: string | undefined
  /** When it was first refused, monotonic milliseconds. */
  readonly since: number
}

/**
 * Bounds on what is kept for a second look, for what is beyond them is looked at again only when it
 * changes: whoever can write to the store must not fill every host's memory, and one host that went
 * bad must not make the others verify without end.
 */
const MAX_CHARACTERS = 8 * 1024 * 1024
const MAX_OF_HOST = 512

/** Keeps refused records by key and by host. */
export class RefusedRecords {
  readonly #records = new Map<string, RefusedRecord>()
  readonly #ofHost = new Map<string | undefined, Set<string>>()
  #characters = 0

  get(key: string): RefusedRecord | undefined {
    return this.#records.get(key)
  }

  /** Keeps a record; one that was kept under its key for the same host keeps its time. */
  put(change: PlacedChange, hostId: string | undefined, now: number): void {
    const before = this.#records.get(change.key)
    const since = before !== undefined && before.hostId === hostId ? before.since : now
    this.delete(change.key)
    const length = lengthOf(change)
    const keys = this.#ofHost.get(hostId) ?? new Set()
    if (keys.size >= MAX_OF_HOST || this.#characters + length > MAX_CHARACTERS) return
    this.#ofHost.set(hostId, keys.add(change.key))
    this.#records.set(change.key, { change, hostId, since })
    this.#characters += length
  }

  delete(key: string): void {
    const record = this.#records.get(key)
    if (record === undefined) return
    this.#records.delete(key)
    this.#characters -= lengthOf(record.change)
    const keys = this.#ofHost.get(record.hostId)
    keys?.delete(key)
    if (keys?.size === 0) this.#ofHost.delete(record.hostId)
  }

  /** Lets time stand still: so many milliseconds did not count. */
  postpone(ms: number): void {
    for (const [key, record] of this.#records) {
      this.#records.set(key, { ...record, since: record.since + ms })
    }
  }

  /** Those that say that they are a host's. */
  of(hostId: string): readonly RefusedRecord[] {
    return [...(this.#ofHost.get(hostId) ?? [])].flatMap((key) => this.#records.get(key) ?? [])
  }

  /** Those of one kind. */
  ofKind(kind: ParsedKey["kind"]): readonly RefusedRecord[] {
    return [...this.#records.values()].filter(({ change }) => change.parsed.kind === kind)
  }
}

function lengthOf({ key, value }: PlacedChange): number {
  return key.length + (value?.length ?? 0)
}
