/** What hosts share: a small ordered map with revisions, compare-and-swap, presence and watches. */

/** The most that a value of ours has, bytes: far below etcd's 1.5 MiB of one request. */
export const MAX_VALUE_BYTES = 64 * 1024

/**
 * What stands for a value that has more: it is not kept, since a store may be full of them. It is no
 * record, and every reader refuses it by its size.
 */
export const TOO_LONG = "x".repeat(MAX_VALUE_BYTES + 1)

/** One key. */
export interface Entry {
  readonly key: string
  /** {@link TOO_LONG} in place of what is longer than a value of ours. */
  readonly value: string
  /** The revision of the store at which this value was written; grows with every write. */
  readonly revision: number
}

/** Everything under a prefix, in the order of the keys, and the revision at which that was so. */
export interface Listing {
  readonly entries: readonly Entry[]
  readonly revision: number
}

/** What must hold for a commit: the key still has the value of this revision; 0: no such key. */
export interface Condition {
  readonly key: string
  readonly revision: number
}

/** One write of a commit: a value, or undefined to delete the key. */
export interface Write {
  readonly key: string
  readonly value: string | undefined
}

/** What became of a commit. */
export interface Commit {
  /** False when a condition did not hold; nothing was written then. */
  readonly committed: boolean
  /** The store's revision after it. */
  readonly revision: number
}

/** A change that a watch tells of; `value` undefined: the key is gone. */
export interface Change {
  readonly key: string
  readonly value: string | undefined
  readonly revision: number
}

/** Hears of everything under a prefix. A call must not throw. */
export interface WatchListener {
  /**
   * Everything there is: first of all, and again whenever changes may have been missed (compaction,
   * a store put back from a snapshot). What is not in it is gone. Its revision, or that of an entry,
   * may be lower than one heard before: then the store was put back.
   */
  snapshot(listing: Listing): void
  /** Changes since, in the order in which they were made, each once. */
  changes(changes: readonly Change[], revision: number): void
}

/** Something that goes on until it is closed. */
export interface Subscription {
  close(): void
}

/** How a store is. */
export interface StoreHealth {
  readonly reachable: boolean
  /** Which member serves, without credentials. */
  readonly endpoint: string
  /** Why it is not reachable, and since when (monotonic milliseconds). */
  readonly reason?: string | undefined
  readonly since?: number | undefined
}

/**
 * The shared state. Reads and commits fail within seconds when the store is away (`LariatError`
 * `store-away`); watches and presences come back by themselves.
 */
export interface Store {
  readonly kind: "etcd"

  /** @throws LariatError `store-away`, `permission` */
  get(key: string): Promise<Entry | undefined>

  /** @throws LariatError `store-away`, `permission` */
  list(prefix: string): Promise<Listing>

  /**
   * Writes all or nothing. After an error it is unknown whether it was written: read before trying
   * again.
   *
   * @throws LariatError `store-away`, `permission`
   */
  commit(conditions: readonly Condition[], writes: readonly Write[]): Promise<Commit>

  /** Listens to a prefix from now on, for as long as it takes. */
  watch(prefix: string, listener: WatchListener): Subscription

  /**
   * Keeps a key there while this process lives and reaches the store, and `ttlMs` longer. A lease
   * that ran out, or a key that somebody took away, is made again.
   */
  present(key: string, value: string, options: { readonly ttlMs: number }): Subscription

  /**
   * This host has another address: connections from before are dead, and nothing tells. What is
   * under way on them fails or is tried again at once, and what comes next uses others.
   */
  reconnect(): void

  health(): StoreHealth
  /** Hears when the store comes and goes. */
  onHealth(listener: (health: StoreHealth) => void): Subscription

  /**
   * Ends watches and presences; a presence's key is deleted where the store answers in time.
   *
   * @param options.stay presences end when their time runs out, as if this process still lived: for
   *   one that is about to come back. Default false
   */
  close(options?: { readonly stay?: boolean }): Promise<void>
}
