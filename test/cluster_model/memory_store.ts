/** A store in memory whose watches hear when they are told to, and that can be lost and put back. */
import { checkCommit } from "../../src/cluster/store/commit_check.ts"
import type {
  Change,
  Commit,
  Condition,
  Entry,
  Listing,
  Store,
  StoreHealth,
  Subscription,
  WatchListener,
  Write,
} from "../../src/cluster/store/store.ts"
import { LariatError } from "../../src/errors.ts"

interface Watcher {
  readonly prefix: string
  readonly listener: WatchListener
  /** How much of the history it heard; undefined: it needs a listing first. */
  heard: number | undefined
}

/** What a store can be put back to. */
export interface StoreImage {
  readonly entries: ReadonlyMap<string, Entry>
  readonly revision: number
}

export class MemoryStore implements Store {
  readonly kind = "etcd"
  /** Commits and reads fail. */
  away = false
  /** The next commit is made, and its answer lost. */
  loseAnswer = false
  /** Waited for before each call: where a test lets others come between. */
  turn: () => Promise<void> = () => Promise.resolve()
  /** Calls that were answered, by name. */
  readonly calls: string[] = []
  #entries = new Map<string, Entry>()
  #revision = 0
  readonly #history: Change[] = []
  readonly #watchers = new Set<Watcher>()

  get revision(): number {
    return this.#revision
  }

  async get(key: string): Promise<Entry | undefined> {
    await this.#begin("get")
    return this.#entries.get(key)
  }

  async list(prefix: string): Promise<Listing> {
    await this.#begin("list")
    return this.listing(prefix)
  }

  async commit(conditions: readonly Condition[], writes: readonly Write[]): Promise<Commit> {
    checkCommit(conditions, writes)
    await this.#begin("commit")
    const hold = conditions.every(
      ({ key, revision }) => (this.#entries.get(key)?.revision ?? 0) === revision,
    )
    if (hold) this.write(writes)
    if (this.loseAnswer) {
      this.loseAnswer = false
      throw gone()
    }
    return { committed: hold, revision: this.#revision }
  }

  watch(prefix: string, listener: WatchListener): Subscription {
    const watcher: Watcher = { prefix, listener, heard: undefined }
    this.#watchers.add(watcher)
    return { close: () => void this.#watchers.delete(watcher) }
  }

  present(key: string, value: string): Subscription {
    this.write([{ key, value }])
    return { close: () => this.write([{ key, value: undefined }]) }
  }

  reconnect(): void {}

  health(): StoreHealth {
    return { reachable: !this.away, endpoint: "memory" }
  }

  onHealth(): Subscription {
    return { close: () => undefined }
  }

  async close(): Promise<void> {
    this.#watchers.clear()
  }

  /** What stands under a prefix. */
  listing(prefix: string): Listing {
    const entries = [...this.#entries.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
    return { entries, revision: this.#revision }
  }

  /** Writes at once, whatever {@link away} says. */
  write(writes: readonly Write[]): void {
    const effective = writes.filter(
      ({ key, value }) => value !== undefined || this.#entries.has(key),
    )
    if (effective.length === 0) return
    this.#revision++
    for (const { key, value } of effective) {
      const revision = this.#revision
      if (value === undefined) this.#entries.delete(key)
      else this.#entries.set(key, { key, value, revision })
      this.#history.push({ key, value, revision })
    }
  }

  /** Tells watches at most so many changes each. */
  deliver(most = Number.POSITIVE_INFINITY): void {
    for (const watcher of this.#watchers) {
      const { prefix, listener, heard } = watcher
      if (heard === undefined) {
        watcher.heard = this.#history.length
        listener.snapshot(this.listing(prefix))
        continue
      }
      const news = this.#history.slice(heard, heard + most)
      watcher.heard = heard + news.length
      const last = news.at(-1)
      if (last === undefined) continue
      const changes = news.filter(({ key }) => key.startsWith(prefix))
      listener.changes(changes, last.revision)
    }
  }

  /** All watches missed something: they are told everything anew. */
  compact(): void {
    for (const watcher of this.#watchers) watcher.heard = undefined
  }

  image(): StoreImage {
    return { entries: new Map(this.#entries), revision: this.#revision }
  }

  putBack({ entries, revision }: StoreImage): void {
    this.#entries = new Map(entries)
    this.#revision = revision
    this.compact()
  }

  async #begin(call: string): Promise<void> {
    await this.turn()
    if (this.away) throw gone()
    this.calls.push(call)
  }
}

function gone(): LariatError {
  return new LariatError("Cannot reach the store: the test took it away", { code: "store-away" })
}
