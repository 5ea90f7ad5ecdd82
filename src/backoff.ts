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
