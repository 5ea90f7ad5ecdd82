import { type EndpointRecord, endpointBody } from "../../cluster/records/endpoint_record.ts"
import type { Keyspace } from "../../cluster/records/keyspace.ts"
import type { Store } from "../../cluster/store/store.ts"
import { containerName, containerUuid } from "../services/metadata_feed.ts"
import type { EndpointRow } from "../state/rows.ts"
import type { Signer } from "./signer.ts"

/** Writes of one commit; etcd takes 128 operations in one. */
const BATCH = 64
/** After a failure, milliseconds. */
const RETRY_MS = 1000

/** What an {@link EndpointPublisher} works with. */
export interface EndpointPublisherOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly signer: Signer
  /** Whether other hosts are told of an address of a network. */
  readonly isShared: (network: string, address: string) => boolean
  readonly onFailure: (error: unknown) => void
}

/**
 * Tells the other hosts of this one's containers, after the fact: an attach waits for no store.
 * What could not be told is told as soon as the store answers.
 */
export class EndpointPublisher {
  readonly #options: EndpointPublisherOptions
  /** Everything that is to stand in the store. */
  readonly #wanted = new Map<string, EndpointRecord>()
  /** Keys that have to be written or deleted. */
  readonly #due = new Set<string>()
  #running = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #stopped = false

  constructor(options: EndpointPublisherOptions) {
    this.#options = options
  }

  /** A row came, went, or became another. */
  changed(before: EndpointRow | undefined, after: EndpointRow | undefined): void {
    if (before !== undefined) {
      for (const key of this.#keysOf(before)) {
        this.#wanted.delete(key)
        this.#due.add(key)
      }
    }
    if (after?.state === "attached") {
      const record = this.#recordOf(after)
      for (const key of this.#keysOf(after)) {
        this.#wanted.set(key, record)
        this.#due.add(key)
      }
    }
    this.#wake(0)
  }

  /** The store has a record of ours under a key: one that is not wanted goes. */
  found(key: string): void {
    if (this.#wanted.has(key)) return
    this.#due.add(key)
    this.#wake(0)
  }

  /** The record of a key does not stand as it was written. */
  rewrite(key: string): void {
    if (!this.#wanted.has(key)) return
    this.#due.add(key)
    this.#wake(0)
  }

  /** Some addresses of these endpoints are not shared any more: they may be another host's. */
  async withdraw(rows: readonly EndpointRow[]): Promise<void> {
    const { keys, store, signer, onFailure } = this.#options
    for (const row of rows) {
      for (const { address } of row.addresses) {
        const key = keys.endpoint(row.pool, address)
        if (this.#keysOf(row).includes(key) || !this.#wanted.delete(key)) continue
        this.#due.delete(key)
        const text = signer.written.get(key)
        signer.forget(key)
        try {
          // What another host wrote there stays.
          const entry = await store.get(key)
          if (entry === undefined || entry.value !== text) continue
          const { revision } = entry
          await store.commit([{ key, revision }], [{ key, value: undefined }])
        } catch (error) {
          onFailure(error)
        }
      }
      this.changed(row, row)
    }
  }

  /** Writes everything again: the store was put back. */
  again(): void {
    for (const key of this.#wanted.keys()) this.#due.add(key)
    this.#wake(0)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #wake(ms: number): void {
    if (this.#stopped || this.#running || this.#due.size === 0) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#flush(), ms)
  }

  async #flush(): Promise<void> {
    const { store, signer, onFailure } = this.#options
    this.#running = true
    let wait = 0
    try {
      while (this.#due.size > 0 && !this.#stopped) {
        const keys = [...this.#due].slice(0, BATCH)
        const writes = keys.map((key) => {
          const record = this.#wanted.get(key)
          if (record === undefined) {
            signer.forget(key)
            return { key, value: undefined }
          }
          return { key, value: signer.sign("endpoint", key, endpointBody(record)) }
        })
        for (const key of keys) this.#due.delete(key)
        try {
          await store.commit([], writes)
        } catch (error) {
          for (const key of keys) this.#due.add(key)
          throw error
        }
      }
    } catch (error) {
      onFailure(error)
      wait = RETRY_MS
    }
    this.#running = false
    this.#wake(wait)
  }

  #keysOf(row: EndpointRow): string[] {
    return this.#sharedOf(row).map((address) => this.#options.keys.endpoint(row.pool, address))
  }

  #sharedOf(row: EndpointRow): string[] {
    const { isShared } = this.#options
    return row.addresses.flatMap(({ address }) => (isShared(row.pool, address) ? [address] : []))
  }

  #recordOf(row: EndpointRow): EndpointRecord {
    return {
      uuid: containerUuid(row),
      containerId: row.containerId,
      name: containerName(row),
      addresses: this.#sharedOf(row),
      mac: row.mac,
      labels: row.names.labels,
      createIndex: row.id,
    }
  }
}
