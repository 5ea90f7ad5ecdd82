/** Whether a store answers, since when, and who wants to hear of it. */

import { quietly } from "./repeat.ts"
import type { StoreHealth, Subscription } from "./store.ts"

/** Keeps a {@link StoreHealth} and tells when it changes. */
export class HealthKeeper {
  readonly #now: () => number
  readonly #listeners = new Set<(health: StoreHealth) => void>()
  #health: StoreHealth

  /**
   * @param now monotonic milliseconds
   * @param reason why it is not reachable to begin with; undefined: it is
   */
  constructor(now: () => number, endpoint: string, reason?: string) {
    this.#now = now
    this.#health =
      reason === undefined
        ? { reachable: true, endpoint }
        : { reachable: false, endpoint, reason, since: now() }
  }

  get(): StoreHealth {
    return this.#health
  }

  /** It answered. */
  up(endpoint: string): void {
    const before = this.#health
    if (before.reachable && before.endpoint === endpoint) return
    this.#health = { reachable: true, endpoint }
    if (!before.reachable) this.#tell()
  }

  /** It did not. Another reason than before is kept, and told to nobody. */
  down(endpoint: string, reason: string): void {
    const { reachable, since } = this.#health
    this.#health = { reachable: false, endpoint, reason, since: since ?? this.#now() }
    if (reachable) this.#tell()
  }

  listen(listener: (health: StoreHealth) => void): Subscription {
    // Wrapped, so that one function may listen twice.
    const entry = (health: StoreHealth) => listener(health)
    this.#listeners.add(entry)
    return { close: () => void this.#listeners.delete(entry) }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) quietly(() => listener(this.#health))
  }
}
