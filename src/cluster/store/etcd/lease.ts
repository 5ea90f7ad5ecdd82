/** A key of etcd under a lease that is kept alive, and made again after it was lost. */

import { type Dependencies, pause } from "../dependencies.ts"
import { repeat } from "../repeat.ts"
import type { Subscription } from "../store.ts"
import type { EtcdClient } from "./client.ts"
import { encodeText, grantAnswer, keepAliveAnswer, txnAnswer } from "./messages.ts"

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

interface Lease {
  readonly id: string
  /** etcd may grant more than was asked for: at least its election time-out. */
  readonly ttlMs: number
}

export class EtcdLease implements Subscription {
  readonly key: string
  /** Resolves when nothing is under way any more, after {@link close}. */
  readonly ended: Promise<void>
  readonly #client: EtcdClient
  readonly #dependencies: Dependencies
  readonly #value: string
  readonly #ttlSeconds: number
  readonly #end = new AbortController()
  #lease: Lease | undefined

  constructor(
    client: EtcdClient,
    dependencies: Dependencies,
    key: string,
    value: string,
    { ttlMs, onError }: EtcdLeaseOptions,
  ) {
    this.#client = client
    this.#dependencies = dependencies
    this.key = key
    this.#value = value
    this.#ttlSeconds = Math.max(1, Math.ceil(ttlMs / 1000))
    const signal = AbortSignal.any([this.#end.signal, client.signal])
    const work = (worked: () => void) => this.#keep(worked)
    this.ended = repeat(dependencies, signal, { work, onError }).then(() => this.#revoke())
  }

  close(): void {
    this.#end.abort()
  }

  /** Renews the lease, or gets one, and sees that the key is there under it. */
  async #keep(worked: () => void): Promise<number> {
    // Of before the request: etcd counts from when it was served, which is later.
    const begunMs = this.#dependencies.now()
    if (this.#lease !== undefined && !(await this.#renew(this.#lease))) this.#lease = undefined
    this.#lease ??= await this.#grant()
    // Closed meanwhile, and the key may be another presence's by now.
    if (this.#end.signal.aborted) return 0
    await this.#put(this.#lease)
    worked()
    return begunMs + this.#lease.ttlMs / RENEWALS - this.#dependencies.now()
  }

  async #grant(): Promise<Lease> {
    const body = { TTL: String(this.#ttlSeconds) }
    const { value } = await this.#call("/v3/lease/grant", body, grantAnswer)
    return { id: value.ID, ttlMs: Math.max(1, value.TTL) * 1000 }
  }

  /** Whether etcd still has it. */
  async #renew(lease: Lease): Promise<boolean> {
    const { value } = await this.#call("/v3/lease/keepalive", { ID: lease.id }, keepAliveAnswer)
    return value.result.TTL > 0
  }

  /** Writes the key only where it is not there, has another value or hangs on another lease. */
  async #put(lease: Lease): Promise<void> {
    const key = encodeText(this.key)
    const value = encodeText(this.#value)
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
    const asked = this.#call("/v3/lease/revoke", { ID: lease.id }, () => undefined).catch(
      () => undefined,
    )
    await Promise.race([asked, pause(this.#dependencies, REVOKE_MS, done.signal)])
    done.abort()
  }

  #call<T>(path: string, body: object, parse: (answer: unknown) => T) {
    return this.#client.call(path, body, `keep ${this.key}`, parse)
  }
}
