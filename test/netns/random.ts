/** Random choices that a seed repeats. */

/** Nothing special about it. */
const CI_SEED = 20_261_124

/** A generator of random numbers (mulberry32: 32 bits of state, enough for tests). */
export class Random {
  readonly seed: number
  #state: number

  /** @param seed 32 bits */
  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  /**
   * From TEST_SEED, to repeat a run; else a new one, but always the same under CI: a change is not
   * refused for a fault that was there before it.
   */
  static fromEnvironment(): Random {
    const { TEST_SEED, CI } = process.env
    if (TEST_SEED !== undefined) return new Random(Number(TEST_SEED))
    return new Random(CI === undefined ? Math.random() * 2 ** 32 : CI_SEED)
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to `below` − 1. */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  /** True so often: 0 never, 1 always. */
  chance(share: number): boolean {
    return this.next() < share
  }

  /** One of these. */
  pick<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)]
    if (found === undefined) throw new Error("Cannot pick from nothing")
    return found
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }
}
