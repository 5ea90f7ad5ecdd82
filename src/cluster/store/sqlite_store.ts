/** The store of a host alone: a SQLite file, with watches within this process. */

import { LariatError, messageOf } from "../../errors.ts"
import { checkCommit, checkKey } from "./commit_check.ts"
import type { SqlDatabase } from "./sqlite_database.ts"
import { SqliteEntries } from "./sqlite_entries.ts"
import type {
  Change,
  Commit,
  Condition,
  Entry,
  Listing,
  Presence,
  Store,
  StoreHealth,
  Subscription,
  WatchListener,
  Write,
} from "./store.ts"
import { HealthKeeper } from "./store_health.ts"

export interface SqliteStoreOptions {
  /** Hears why a watch or a presence could not be served, or what a listener threw. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

interface Watch {
  readonly prefix: string
  readonly listener: WatchListener
  /** Told as a whole already. */
  begun: boolean
  /** Not told yet; of one commit each. */
  waiting: (readonly Change[])[]
}

export class SqliteStore implements Store {
  readonly kind = "sqlite"
  readonly #entries: SqliteEntries
  readonly #health: HealthKeeper
  readonly #onError: (error: unknown) => void
  readonly #watches = new Set<Watch>()
  readonly #present = new Map<string, string>()
  /** Presences whose last write failed: it is made up for by the next call that succeeds. */
  readonly #owed = new Set<string>()
  #telling = false
  #closed = false

  /**
   * Takes the database over: it is closed with the store. Presences that an earlier process left
   * are deleted.
   *
   * @param now monotonic milliseconds
   * @throws LariatError store-away
   */
  constructor(database: SqlDatabase, now: () => number, options: SqliteStoreOptions = {}) {
    this.#entries = new SqliteEntries(database)
    this.#health = new HealthKeeper(now, "sqlite")
    this.#onError = options.onError ?? (() => undefined)
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key)
    return this.#ask(`read ${key}`, () => this.#entries.get(key))
  }

  async list(prefix: string): Promise<Listing> {
    return this.#ask(`list ${prefix}`, () => this.#entries.list(prefix))
  }

  async commit(conditions: readonly Condition[], writes: readonly Write[]): Promise<Commit> {
    checkCommit(conditions, writes)
    const { committed, revision, changes } = this.#ask(`write ${writes[0]?.key ?? "nothing"}`, () =>
      this.#entries.commit(conditions, writes),
    )
    this.#spread(changes)
    for (const { key, value } of changes) {
      const wanted = this.#present.get(key)
      if (wanted !== undefined && wanted !== value) this.#writePresence(key, wanted)
    }
    return { committed, revision }
  }

  watch(prefix: string, listener: WatchListener): Subscription {
    const watch: Watch = { prefix, listener, begun: false, waiting: [] }
    this.#watches.add(watch)
    this.#tellSoon()
    return { close: () => void this.#watches.delete(watch) }
  }

  present(key: string, value: string, _options: { readonly ttlMs: number }): Presence {
    checkKey(key)
    if (this.#present.has(key)) {
      throw new LariatError(`Cannot be present at ${key}: this process is already`, {
        code: "internal",
      })
    }
    this.#present.set(key, value)
    this.#writePresence(key, value)
    let open = true
    return {
      update: (text) => {
        if (!open) return
        this.#present.set(key, text)
        this.#writePresence(key, text)
      },
      close: () => {
        if (!open) return
        open = false
        this.#leave(key)
      },
    }
  }

  health(): StoreHealth {
    return this.#health.get()
  }

  onHealth(listener: (health: StoreHealth) => void): Subscription {
    return this.#health.listen(listener)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#watches.clear()
    for (const key of [...this.#present.keys()]) this.#leave(key)
    this.#closed = true
    this.#entries.close()
  }

  #ask<T>(doing: string, work: () => T): T {
    if (this.#closed) {
      throw new LariatError(`Cannot ${doing}: the store is closed`, { code: "store-away" })
    }
    try {
      const result = work()
      if (!this.#health.get().reachable) {
        this.#health.up("sqlite")
        this.#catchUp()
      }
      return result
    } catch (error) {
      this.#health.down("sqlite", messageOf(error))
      throw error
    }
  }

  #leave(key: string): void {
    this.#present.delete(key)
    this.#writePresence(key, undefined)
  }

  #writePresence(key: string, value: string | undefined): void {
    if (this.#closed) return
    try {
      const { changes } = this.#ask(`keep ${key}`, () =>
        this.#entries.commit([], [{ key, value }], true),
      )
      this.#spread(changes)
    } catch (error) {
      this.#owed.add(key)
      this.#onError(error)
    }
  }

  /** Does what could not be done while the disk failed. */
  #catchUp(): void {
    const keys = [...this.#owed]
    this.#owed.clear()
    for (const key of keys) this.#writePresence(key, this.#present.get(key))
    this.#tellSoon()
  }

  #spread(changes: readonly Change[]): void {
    for (const watch of this.#watches) {
      // One that has not begun will be told of everything.
      if (!watch.begun) continue
      const own = changes.filter(({ key }) => key.startsWith(watch.prefix))
      if (own.length > 0) watch.waiting.push(own)
    }
    this.#tellSoon()
  }

  /** Listeners are called from the event loop, never from within a call of theirs. */
  #tellSoon(): void {
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(() => {
      this.#telling = false
      for (const watch of [...this.#watches]) this.#tell(watch)
    })
  }

  #tell(watch: Watch): void {
    try {
      if (!watch.begun) {
        const listing = this.#ask(`watch ${watch.prefix}`, () => this.#entries.list(watch.prefix))
        watch.begun = true
        watch.listener.snapshot(listing)
      }
      for (const changes of watch.waiting.splice(0)) {
        if (!this.#watches.has(watch)) return
        watch.listener.changes(changes, changes[0]?.revision ?? this.#entries.revision)
      }
    } catch (error) {
      this.#onError(error)
    }
  }
}
