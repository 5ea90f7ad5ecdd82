/** Leases of the small etcd: keys that go when nobody renews. */

import type { Timer } from "../../cluster/store/dependencies.ts"
import type { KeyHistory } from "./key_history.ts"

/** The longest that etcd grants (lessor.go: MaxLeaseTTL), seconds. */
const MAX_TTL = 9_000_000_000
/** A longer timer would fire at once; milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1

interface Lease {
  /** Seconds. */
  readonly ttl: number
  timer: Timer
}

export class GatewayLeases {
  readonly #history: KeyHistory
  readonly #after: (ms: number, call: () => void) => Timer
  readonly #leases = new Map<string, Lease>()
  #last = 0

  constructor(history: KeyHistory, after: (ms: number, call: () => void) => Timer) {
    this.#history = history
    this.#after = after
  }

  /** A new one of so many seconds, at least one. */
  grant(seconds: number): { readonly id: string; readonly ttl: number } {
    const ttl = Math.min(Math.max(1, seconds), MAX_TTL)
    const id = String(++this.#last)
    this.#leases.set(id, { ttl, timer: this.#expire(id, ttl) })
    return { id, ttl }
  }

  has(id: string): boolean {
    return this.#leases.has(id)
  }

  /** Its time begins anew. @returns seconds; undefined when there is no such lease any more */
  renew(id: string): number | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    lease.timer.cancel()
    lease.timer = this.#expire(id, lease.ttl)
    return lease.ttl
  }

  /** Ends it, and its keys with it. @returns whether there was one */
  revoke(id: string): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    lease.timer.cancel()
    this.#leases.delete(id)
    const keys = this.#history.range({ first: "", end: "" }).filter((each) => each.lease === id)
    this.#history.write(keys.map(({ key }) => ({ range: { first: key, end: undefined } })))
    return true
  }

  /** Forgets all; their keys stay. */
  close(): void {
    for (const { timer } of this.#leases.values()) timer.cancel()
    this.#leases.clear()
  }

  #expire(id: string, seconds: number): Timer {
    return this.#after(Math.min(seconds * 1000, MAX_TIMER_MS), () => this.revoke(id))
  }
}
