import type { Keyspace, ParsedKey } from "../../cluster/records/keyspace.ts"
import type { Store, Subscription, WatchListener } from "../../cluster/store/store.ts"
import { monotonicMs } from "../../sys/clock.ts"
import { after } from "../../sys/timer.ts"
import { OwnRecordGuard } from "./state/own_record_guard.ts"

/** What a {@link StoreWatch} works with. */
export interface StoreWatchOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly host: { readonly uuid: string; readonly name: string }
  /** How long its presence stays without a sign of life, milliseconds. */
  readonly presenceMs: number
  /** Hears all that is in the store, and what changes. */
  readonly listener: WatchListener
  /** The records that this host wrote last and that are to stand, by key. */
  readonly written: () => ReadonlyMap<string, string>
  /** An own record does not stand as it was written. */
  readonly putBack: (key: string, parsed: ParsedKey, revision: number) => void
}

/** This host's ear in the store, and its sign of life there. */
export class StoreWatch {
  readonly #options: StoreWatchOptions
  readonly #ownKeys: OwnRecordGuard
  #subscription: Subscription | undefined

  constructor(options: StoreWatchOptions) {
    this.#options = options
    const { keys, listener, written, putBack } = options
    this.#ownKeys = new OwnRecordGuard({
      ...{ keys, next: listener, written, putBack },
      clock: monotonicMs,
      after,
    })
  }

  /** Listens, and says that this host is there. Both outlast every outage of the store. */
  begin(): void {
    const { store, keys, host, presenceMs } = this.#options
    this.relist()
    store.present(keys.alive(host.uuid), host.name, { ttlMs: presenceMs })
  }

  /** Everything is told again: a watch that begins anew lists first. */
  relist(): void {
    const { store, keys } = this.#options
    this.#subscription?.close()
    this.#subscription = store.watch(keys.prefix, this.#ownKeys)
  }

  /** Puts nothing back any more; the rest ends with the store. */
  stop(): void {
    this.#ownKeys.stop()
  }
}
