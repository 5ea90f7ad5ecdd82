/** Leases of the small etcd: keys that go when nobody renews. */

import type { Cancel } from "../../cluster/store/dependencies.ts"
import type { KeyHistory } from "./key_history.ts"

/** The longest that etcd grants (lessor.go: MaxLeaseTTL), seconds. */
const MAX_TTL = 9_000_000_000
/** A longer cancel would fire at once; milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1

interface Lease {
  /** Seconds. */
  readonly ttl: number
  cancel: Cancel
}

export class GatewayLeases {
  readonly #history: KeyHistory
  readonly #after: (ms: number, call: () => void) => Cancel
  readonly #leases = new Map<string, Lease>()
  #last = 0

  constructor(history: KeyHistory, after: (ms: number, call: () => void) => Cancel) {
    this.#history = history
    this.#after = after
  }

  /** A new one of so many seconds, at least one. */
  grant(seconds: number): { readonly id: string; readonly ttl: number } {
    const ttl = Math.min(Math.max(1, seconds), MAX_TTL)
    const id = String(++this.#last)
    this.#leases.set(id, { ttl, cancel: this.#expire(id, ttl) })
    return { id, ttl }
  }

  has(id: string): boolean {
    return this.#leases.has(id)
  }

  /** Its time begins anew. @returns seconds; undefined when there is no such lease any more */
  renew(id: string): number | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    lease.cancel()
    lease.cancel = this.#expire(id, lease.ttl)
    return lease.ttl
  }

  /** Ends it, and its keys with it. @returns whether there was one */
  revoke(id: string): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    lease.cancel()
    this.#leases.delete(id)
    const keys = this.#history.range({ first: "", end: "" }).filter((each) => each.lease === id)
    this.#history.write(keys.map(({ key }) => ({ range: { first: key, end: undefined } })))
    return true
  }

  /** Forgets all; their keys stay. */
  close(): void {
    for (const { cancel } of this.#leases.values()) cancel()
    this.#leases.clear()
  }

  #expire(id: string, seconds: number): Cancel {
    return this.#after(Math.min(seconds * 1000, MAX_TIMER_MS), () => this.revoke(id))
  }
}
