/**
 * The largest packet that a path carries, found by probing: a search that needs no word from any
 * router (RFC 4821 §7), several sizes at a time.
 */

/** How one probe of a size went. */
export interface SizeOutcome {
  /** Of the whole IP packet. */
  readonly bytes: number
  readonly passed: boolean
  /** The largest size that a hop on the way said it carries; a hint, nothing proven. */
  readonly mtu?: number | undefined
}

/** Sizes tried in one round: the range shrinks to an eighth. */
const SIZES_PER_ROUND = 7

/** Failures in a row of the size that was found, until it is not believed any more. */
const DOUBTS = 2

/**
 * Between a size that passes and a size that does not. A lost probe looks like one that was too
 * large, so the answer may come out too small at first: what was found and one byte more are
 * probed again each round, and the search goes on when they tell otherwise.
 */
export class SizeSearch {
  readonly #floor: number
  readonly #ceiling: number
  #low: number
  #high: number
  #hint: number | undefined
  #doubts = 0

  /**
   * @param passes a size that passes, bytes
   * @param fails a larger size that does not
   */
  constructor(passes: number, fails: number) {
    this.#floor = passes
    this.#ceiling = Math.max(fails, passes + 1)
    this.#low = this.#floor
    this.#high = this.#ceiling
  }

  /** The largest size known to pass. */
  get largest(): number {
    return this.#low
  }

  /** Whether one byte more than {@link largest} is known not to pass. */
  get isDone(): boolean {
    return this.#high - this.#low === 1
  }

  /** The sizes to probe next, each once, {@link SIZES_PER_ROUND} + 2 at most. */
  sizes(): number[] {
    if (this.isDone) return [this.#low, this.#high].filter((bytes) => bytes < this.#ceiling)
    const sizes = new Set<number>()
    const range = this.#high - this.#low
    for (let step = 1; step <= SIZES_PER_ROUND; step++) {
      sizes.add(this.#low + Math.round((range * step) / (SIZES_PER_ROUND + 1)))
    }
    // What a router said is proven by two probes: it passes, and one byte more does not.
    for (const bytes of this.#hint === undefined ? [] : [this.#hint, this.#hint + 1]) {
      sizes.add(bytes)
    }
    return [...sizes].filter((bytes) => bytes > this.#low && bytes < this.#high).sort(byNumber)
  }

  /** Takes in how a round of probes went; sizes that were not asked for count as well. */
  observe(outcomes: readonly SizeOutcome[]): void {
    const wasDone = this.isDone
    const found = this.#low
    const passed = outcomes.filter((one) => one.passed).map(({ bytes }) => bytes)
    const failed = outcomes.filter((one) => !one.passed).map(({ bytes }) => bytes)
    for (const { mtu } of outcomes) {
      if (mtu !== undefined && Number.isSafeInteger(mtu)) this.#hint = mtu
    }
    const best = Math.max(this.#low, ...passed.filter((bytes) => bytes < this.#ceiling))
    if (best >= this.#high) this.#high = this.#ceiling
    this.#low = best
    this.#high = Math.min(this.#high, ...failed.filter((bytes) => bytes > this.#low))
    if (wasDone)
      this.#doubt(
        passed.some((bytes) => bytes >= found),
        failed.includes(found),
      )
  }

  /** Begins anew when what was found does not pass any more. */
  #doubt(confirmed: boolean, denied: boolean): void {
    if (confirmed || !denied) {
      if (confirmed) this.#doubts = 0
      return
    }
    if (++this.#doubts < DOUBTS) return
    this.#doubts = 0
    this.#low = this.#floor
    this.#high = this.#ceiling
  }
}

function byNumber(a: number, b: number): number {
  return a - b
}
