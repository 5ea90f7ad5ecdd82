/** A key of etcd under a lease that is kept alive, and made again after it was lost. */

import { LariatError } from "../../../errors.ts"
import { Backoff } from "../backoff.ts"
import { type Dependencies, pause } from "../dependencies.ts"
import type { Presence } from "../store.ts"
import { txnAnswer } from "./answer.ts"
import type { EtcdClient } from "./client.ts"
import { countField, encodeText, type Fields, fieldsOf, idField } from "./codec.ts"
import { inContext } from "./failure.ts"

export interface EtcdLeaseOptions {
  /** How long the key outlives this process. */
  readonly ttlMs: number
  /** Hears why the key cannot be kept at present. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Renewals within the time of a lease: two may fail before it is lost. */
const RENEWALS = 3
/** Longer than that no caller waits for a lease to be given back, ms. */
const REVOKE_MS = 1000

/** The longest wait after etcd refused it: asking more often would not help, ms. */
const REFUSED_MS = 10_000

interface Lease {
  readonly id: string
  /** etcd may grant more than was asked for: at least its election time-out. */
  readonly ttlMs: number
}

export class EtcdLease implements Presence {
  readonly key: string
  /** Resolves when nothing is under way any more, after {@link close}. */
  readonly ended: Promise<void>
  readonly #client: EtcdClient
  readonly #world: Dependencies
  readonly #ttlSeconds: number
  readonly #onError: (error: unknown) => void
  readonly #end = new AbortController()
  #wake = new AbortController()
  #value: string
  #lease: Lease | undefined

  constructor(
    client: EtcdClient,
    world: Dependencies,
    key: string,
    value: string,
    options: EtcdLeaseOptions,
  ) {
    this.#client = client
    this.#world = world
    this.key = key
    this.#value = value
    this.#ttlSeconds = Math.max(1, Math.ceil(options.ttlMs / 1000))
    this.#onError = options.onError ?? (() => undefined)
    this.ended = this.#run()
  }

  update(value: string): void {
    this.#value = value
    this.#wake.abort()
  }

  close(): void {
    this.#end.abort()
    this.#wake.abort()
  }

  get #closed(): boolean {
    return this.#end.signal.aborted || this.#client.signal.aborted
  }

  async #run(): Promise<void> {
    const { random } = this.#world
    const backoff = new Backoff(random)
    const refusals = new Backoff(random, { firstMs: 1000, longestMs: REFUSED_MS })
    while (!this.#closed) {
      // Of before the request: etcd counts from when it was served, which is later.
      const begunMs = this.#world.now()
      let waitMs: number
      try {
        await this.#keep()
        backoff.reset()
        refusals.reset()
        const due = begunMs + (this.#lease?.ttlMs ?? 0) / RENEWALS
        waitMs = due - this.#world.now()
      } catch (error) {
        if (this.#closed) break
        this.#report(error)
        const refused = error instanceof LariatError && error.code === "permission"
        waitMs = (refused ? refusals : backoff).next()
      }
      if (!this.#closed) await pause(this.#world, waitMs, this.#wake.signal)
      if (!this.#closed) this.#wake = new AbortController()
    }
    await this.#revoke()
  }

  /** Renews the lease, or gets one, and sees that the key is there under it. */
  async #keep(): Promise<void> {
    const value = this.#value
    if (this.#lease !== undefined && !(await this.#renew(this.#lease))) this.#lease = undefined
    this.#lease ??= await this.#grant()
    await this.#put(this.#lease, value)
    // Changed while it was written.
    if (value !== this.#value) await this.#put(this.#lease, this.#value)
  }

  async #grant(): Promise<Lease> {
    const body = { TTL: String(this.#ttlSeconds) }
    const { value } = await this.#call("/v3/lease/grant", body, (fields) => ({
      id: idField(fields, "ID"),
      ttlMs: countField(fields, "TTL") * 1000,
    }))
    return { id: value.id, ttlMs: Math.max(1000, value.ttlMs) }
  }

  /** Whether etcd still has it. */
  async #renew(lease: Lease): Promise<boolean> {
    // The gateway wraps it as the stream that it is; TTL is left out of an answer for a lost lease.
    const left = await this.#call("/v3/lease/keepalive", { ID: lease.id }, (fields) =>
      countField(fieldsOf(fields.result, "result"), "TTL"),
    )
    return left.value > 0
  }

  /** Writes the key only where it is not there, has another value or hangs on another lease. */
  async #put(lease: Lease, text: string): Promise<void> {
    const key = encodeText(this.key)
    const value = encodeText(text)
    const put = { request_put: { key, value, lease: lease.id } }
    await this.#call(
      "/v3/kv/txn",
      {
        compare: [
          { key, target: "LEASE", result: "EQUAL", lease: lease.id },
          { key, target: "VALUE", result: "EQUAL", value },
        ],
        failure: [put],
      },
      txnAnswer,
    )
  }

  /** Gives the lease back, and the key with it, if etcd does so soon. */
  async #revoke(): Promise<void> {
    const lease = this.#lease
    if (lease === undefined || this.#client.signal.aborted) return
    const done = new AbortController()
    const cancel = this.#world.after(REVOKE_MS, () => done.abort())
    const asked = this.#call("/v3/lease/revoke", { ID: lease.id }, (fields) => fields).catch(
      () => undefined,
    )
    await Promise.race([asked, pause(this.#world, REVOKE_MS, done.signal)])
    cancel()
    done.abort()
  }

  #call<T>(path: string, body: object, parse: (fields: Fields) => T) {
    return this.#client.call(path, body, `keep ${this.key}`, parse)
  }

  #report(error: unknown): void {
    try {
      this.#onError(inContext(`keep ${this.key}`, error))
    } catch {
      // Who is told of errors must not end the lease.
    }
  }
}
