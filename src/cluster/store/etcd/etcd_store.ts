/** The store of many hosts: an etcd, 3.4 or later, through its v3 JSON gateway. */

import { Backoff } from "../../../backoff.ts"
import { LariatError } from "../../../errors.ts"
import { checkCommit, checkKey } from "../commit_check.ts"
import { type Dependencies, pause } from "../dependencies.ts"
import type {
  Commit,
  Condition,
  Entry,
  Listing,
  Store,
  StoreHealth,
  Subscription,
  WatchListener,
  Write,
} from "../store.ts"
import { EtcdClient, type EtcdClientOptions } from "./client.ts"
import { EtcdLease } from "./lease.ts"
import { listPrefix } from "./list.ts"
import { encodeText, headerAnswer, rangeAnswer, txnAnswer } from "./messages.ts"
import { EtcdWatch, type EtcdWatchOptions } from "./watch.ts"

/** `onError` hears of presences too, and again with each attempt. */
export interface EtcdStoreOptions extends EtcdClientOptions, EtcdWatchOptions {}

/** Longer than that closing does not wait for presences to be taken back, ms. */
const CLOSE_MS = 2000
/** When nothing else was asked for so long, etcd is asked how it is, ms. */
const IDLE_MS = 5000
/** The first wait while it is away, ms; later ones are longer, up to {@link IDLE_MS}. */
const AWAY_MS = 1000

export class EtcdStore implements Store {
  readonly kind = "etcd"
  readonly #client: EtcdClient
  readonly #dependencies: Dependencies
  readonly #options: EtcdStoreOptions
  readonly #watches = new Set<EtcdWatch>()
  readonly #leases = new Map<string, EtcdLease>()
  /** Closed ones whose lease is being given back. */
  readonly #ending = new Set<Promise<void>>()

  /**
   * @param endpoints URLs of the members, as a list or with commas between
   * @throws LariatError config-invalid
   */
  constructor(
    endpoints: string | readonly string[],
    dependencies: Dependencies,
    options: EtcdStoreOptions = {},
  ) {
    this.#dependencies = dependencies
    this.#options = options
    this.#client = new EtcdClient(endpoints, dependencies, options)
    void this.#look()
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key)
    const body = { key: encodeText(key) }
    const { value } = await this.#client.call("/v3/kv/range", body, `read ${key}`, rangeAnswer)
    return value.entries[0]
  }

  async list(prefix: string): Promise<Listing> {
    const { entries, header } = await listPrefix(this.#client, prefix)
    return { entries, revision: header.revision }
  }

  async commit(conditions: readonly Condition[], writes: readonly Write[]): Promise<Commit> {
    checkCommit(conditions, writes)
    const [first, ...others] = writes
    const doing = `write ${first?.key ?? "nothing"}${others.length > 0 ? ` and ${others.length} more` : ""}`
    const body = {
      compare: conditions.map(({ key, revision }) => ({
        key: encodeText(key),
        target: "MOD",
        result: "EQUAL",
        mod_revision: String(revision),
      })),
      success: writes.map(({ key, value }) =>
        value === undefined
          ? { request_delete_range: { key: encodeText(key) } }
          : { request_put: { key: encodeText(key), value: encodeText(value) } },
      ),
    }
    const { value, doubtful } = await this.#client.call("/v3/kv/txn", body, doing, txnAnswer)
    // A condition may fail because an attempt without an answer was carried out after all.
    if (!value.succeeded && doubtful) {
      throw new LariatError(
        `Cannot ${doing}: a member of etcd did not answer, so it is unknown whether it was written`,
        { code: "store-away", hint: "read the key before writing again" },
      )
    }
    return { committed: value.succeeded, revision: value.header.revision }
  }

  watch(prefix: string, listener: WatchListener): Subscription {
    const watch = new EtcdWatch(this.#client, this.#dependencies, prefix, listener, this.#options)
    this.#watches.add(watch)
    return {
      close: () => {
        this.#watches.delete(watch)
        watch.close()
      },
    }
  }

  present(key: string, value: string, options: { readonly ttlMs: number }): Subscription {
    checkKey(key)
    if (this.#leases.has(key)) {
      throw new LariatError(`Cannot be present at ${key}: this process is already`, {
        code: "internal",
      })
    }
    const { onError } = this.#options
    const lease = new EtcdLease(this.#client, this.#dependencies, key, value, {
      ...options,
      onError,
    })
    this.#leases.set(key, lease)
    return { close: () => this.#leave(lease) }
  }

  reconnect(): void {
    this.#client.reconnect()
  }

  health(): StoreHealth {
    return this.#client.health.get()
  }

  onHealth(listener: (health: StoreHealth) => void): Subscription {
    return this.#client.health.listen(listener)
  }

  async close({ stay = false }: { readonly stay?: boolean } = {}): Promise<void> {
    for (const watch of this.#watches) watch.close()
    this.#watches.clear()
    if (stay) {
      this.#client.close()
      // After the client: nothing is given back, only the waits end that would keep a process up.
      for (const lease of this.#leases.values()) lease.close()
      this.#leases.clear()
      return
    }
    for (const lease of [...this.#leases.values()]) this.#leave(lease)
    const left = Promise.all(this.#ending)
    const enough = new AbortController()
    await Promise.race([left, pause(this.#dependencies, CLOSE_MS, enough.signal)])
    enough.abort()
    this.#client.close()
  }

  #leave(lease: EtcdLease): void {
    if (this.#leases.get(lease.key) !== lease) return
    this.#leases.delete(lease.key)
    lease.close()
    const ending = lease.ended.finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }

  /** Keeps the health true while nobody asks for anything, and sees when etcd comes back. */
  async #look(): Promise<void> {
    const { signal } = this.#client
    const { random } = this.#dependencies
    const backoff = new Backoff(random, { firstMs: AWAY_MS, longestMs: IDLE_MS })
    while (!signal.aborted) {
      const { reachable } = this.#client.health.get()
      const idleMs = this.#dependencies.now() - this.#client.answeredMs
      if (!reachable || idleMs >= IDLE_MS) {
        await this.#client
          .call("/v3/maintenance/status", {}, "ask etcd how it is", headerAnswer)
          .catch(() => undefined)
      }
      const well = this.#client.health.get().reachable
      if (well) backoff.reset()
      const waitMs = well ? IDLE_MS * (0.75 + 0.5 * random()) : backoff.next()
      await pause(this.#dependencies, waitMs, signal)
    }
  }
}
