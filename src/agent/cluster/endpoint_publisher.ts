import {
  type EndpointRecord,
  endpointBody,
  parseEndpointRecord,
} from "../../cluster/records/endpoint_record.ts"
import { MAX_ENVELOPE_BYTES } from "../../cluster/records/envelope.ts"
import type { Keyspace } from "../../cluster/records/keyspace.ts"
import type { Store, Write } from "../../cluster/store/store.ts"
import { LariatError, messageOf } from "../../errors.ts"
import type { Health } from "../health.ts"
import { containerName, containerUuid } from "../services/metadata_feed.ts"
import type { EndpointRow } from "../state/rows.ts"
import type { Signer } from "./signer.ts"

/** Writes of one commit; etcd takes 128 operations in one. */
const BATCH = 64
/**
 * Values of one commit, bytes: one of the largest, or so many as they mostly are. Far below the
 * 1.5 MiB of etcd's --max-request-bytes, since an edge host's uplink has to take it in a call's time.
 */
const BATCH_BYTES = MAX_ENVELOPE_BYTES
/** Refused records that are tried again at once: each may cost a commit of its own. */
const RETRIED = 16
/** After a failure, milliseconds. */
const RETRY_MS = 1000

/** What an {@link EndpointPublisher} works with. */
export interface EndpointPublisherOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly signer: Signer
  /** Whether other hosts are told of an address of a network. */
  readonly isShared: (network: string, address: string) => boolean
  /** Is told which containers others cannot be told of. */
  readonly health: Health
  readonly onFailure: (error: unknown) => void
}

/**
 * Tells the other hosts of this one's containers, after the fact: an attach waits for no store.
 * What could not be told is told as soon as the store answers. A record that cannot be written is
 * left out and named: no other one waits for it.
 */
export class EndpointPublisher {
  readonly #options: EndpointPublisherOptions
  /** Everything that is to stand in the store. */
  readonly #wanted = new Map<string, EndpointRecord>()
  /** Keys that have to be written or deleted. */
  readonly #due = new Set<string>()
  /** Keys of wanted records that the store did not take. */
  readonly #refused = new Set<string>()
  /** How many writes the next commit may have: fewer where one of them is refused. */
  #most = BATCH
  #running = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #stopped = false

  constructor(options: EndpointPublisherOptions) {
    this.#options = options
  }

  /** A row came, went, or became another. */
  changed(before: EndpointRow | undefined, after: EndpointRow | undefined): void {
    if (before !== undefined) {
      // Its network may have gone meanwhile, or its block: what was told of it is taken back.
      for (const { address } of before.addresses) {
        const key = this.#options.keys.endpoint(before.pool, address)
        if (this.#wanted.delete(key)) this.#due.add(key)
        this.#settled(key)
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

  /** Tries again what the store did not take: it may have been something between. */
  retryRefused(): void {
    for (const key of [...this.#refused].slice(0, RETRIED)) this.#due.add(key)
    this.#wake(0)
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
    const { store, onFailure } = this.#options
    this.#running = true
    let wait = 0
    try {
      while (this.#due.size > 0 && !this.#stopped) {
        const writes = this.#batch()
        if (writes.length === 0) continue
        for (const { key } of writes) this.#due.delete(key)
        try {
          await store.commit([], writes)
          for (const { key } of writes) this.#settled(key)
          this.#most = Math.min(BATCH, this.#most * 2)
        } catch (error) {
          for (const { key } of writes) this.#due.add(key)
          if (!isRefusal(error)) throw error
          this.#refuse(writes, error)
        }
      }
    } catch (error) {
      onFailure(error)
      wait = RETRY_MS
    }
    this.#running = false
    this.#wake(wait)
  }

  /** The next writes, as many as go in one commit. What cannot be written at all is due no more. */
  #batch(): Write[] {
    const writes: Write[] = []
    let bytes = 0
    for (const key of this.#due) {
      const write = this.#writeOf(key)
      if (write === undefined) {
        this.#due.delete(key)
        continue
      }
      bytes += Buffer.byteLength(write.value ?? "")
      if (writes.length > 0 && bytes > BATCH_BYTES) break
      writes.push(write)
      if (writes.length === this.#most) break
    }
    return writes
  }

  #writeOf(key: string): Write | undefined {
    const { signer } = this.#options
    const record = this.#wanted.get(key)
    if (record === undefined) {
      signer.forget(key)
      return { key, value: undefined }
    }
    try {
      const body = endpointBody(record)
      // What others would refuse is not worth their time.
      parseEndpointRecord(body)
      return { key, value: signer.sign("endpoint", key, body) }
    } catch (error) {
      // The state database may be what cannot be written: that is no fault of the record's.
      if (error instanceof LariatError && error.code === "io") throw error
      this.#leaveOut(key, error)
      return undefined
    }
  }

  /** Finds out by halves whose fault it is. */
  #refuse(writes: readonly Write[], error: unknown): void {
    const [first] = writes
    if (writes.length > 1 || first === undefined) {
      this.#most = Math.ceil(writes.length / 2)
      return
    }
    this.#due.delete(first.key)
    this.#refused.add(first.key)
    this.#leaveOut(first.key, error)
  }

  #leaveOut(key: string, error: unknown): void {
    const record = this.#wanted.get(key)
    if (record === undefined) return
    this.#options.health.raise(problemOf(key), {
      severity: "warning",
      what: `container ${record.containerId} is not known to other hosts by ${addressOf(key)}: ${messageOf(error)}`,
      hint: "give it a shorter name and fewer or shorter labels; it is reached by its address",
    })
  }

  #settled(key: string): void {
    this.#refused.delete(key)
    this.#options.health.clear(problemOf(key))
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

/** Whether the store said no to what was written, and would say so again. */
function isRefusal(error: unknown): boolean {
  return error instanceof LariatError && (error.code === "io" || error.code === "internal")
}

function problemOf(key: string): string {
  return `publish/${key}`
}

function addressOf(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1)
}
