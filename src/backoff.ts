/** How long to wait before the next attempt: longer each time, and never in step with others. */

/** Times in ms. */
export interface BackoffOptions {
  /** The longest first wait. Default 100 ms. */
  readonly firstMs?: number
  /** The longest of all. Default 2 s. */
  readonly longestMs?: number
}

export class Backoff {
  readonly #random: () => number
  readonly #firstMs: number
  readonly #longestMs: number
  #nextMs: number

  /** @param random from 0 up to 1 */
  constructor(random: () => number, options: BackoffOptions = {}) {
    this.#random = random
    this.#firstMs = options.firstMs ?? 100
    this.#longestMs = options.longestMs ?? 2000
    this.#nextMs = this.#firstMs
  }

  /** The next wait: between half of what it may be and all of it. */
  next(): number {
    const most = this.#nextMs
    this.#nextMs = Math.min(this.#longestMs, most * 2)
    return most * (0.5 + 0.5 * this.#random())
  }

  /** It worked: the next trouble begins with a short wait. */
  reset(): void {
    this.#nextMs = this.#firstMs
  }
}

/** When each of several things may be done again: later each time, and soon after a calm. */
export class Backoffs<Key = string> {
  readonly #options: Required<BackoffOptions>
  readonly #calmMs: number
  readonly #done = new Map<Key, { readonly backoff: Backoff; dueAtMs: number }>()

  /** @param options calmMs: what was due and not done for so long is forgotten */
  constructor({ calmMs, ...options }: Required<BackoffOptions> & { readonly calmMs: number }) {
    this.#options = options
    this.#calmMs = calmMs
  }

  /** From when on it may be done, on the clock of the caller, ms. */
  dueAt(key: Key): number {
    return this.#done.get(key)?.dueAtMs ?? Number.NEGATIVE_INFINITY
  }

  /** It is done now. */
  done(key: Key, nowMs: number): void {
    for (const [other, { dueAtMs }] of this.#done) {
      if (nowMs - dueAtMs >= this.#calmMs) this.#done.delete(other)
    }
    // The whole wait: nobody else is to be kept out of step with.
    const backoff = this.#done.get(key)?.backoff ?? new Backoff(() => 1, this.#options)
    this.#done.set(key, { backoff, dueAtMs: nowMs + backoff.next() })
  }
}
