/** Quarantine: offsets that were released and wait, first in, first out. */

/** An offset and the time until which it rests. */
interface Rest {
  readonly offset: number
  readonly until: number
}

/**
 * Offsets with the time until which they rest, in order of release. All operations take amortised
 * constant time: one walk over the map stays where it is between two looks at the oldest, so that
 * no engine passes again and again over the places of those that are gone.
 *
 * The order of release is the order of expiry, because every offset rests equally long; the
 * caller sees to that.
 */
export class Quarantine {
  /** Until when, by offset; a map keeps the order in which they came. */
  readonly #untils = new Map<number, number>()
  #walk = this.#untils.entries()
  /** Where the walk is. All that came before it is gone. */
  #oldest: Rest | undefined

  /** How many offsets rest. */
  get size(): number {
    return this.#untils.size
  }

  has(offset: number): boolean {
    return this.#untils.has(offset)
  }

  /** Puts an offset that does not rest yet at the end. */
  push(offset: number, until: number): void {
    this.#untils.set(offset, until)
  }

  /** The offset that rested longest and the time until which it rests. */
  peek(): Rest | undefined {
    while (this.size > 0) {
      const oldest = this.#oldest
      if (oldest !== undefined && this.#untils.get(oldest.offset) === oldest.until) return oldest
      const { value } = this.#walk.next()
      this.#oldest = value && { offset: value[0], until: value[1] }
      // A walk that has come to its end stays there.
      if (value === undefined) this.#walk = this.#untils.entries()
    }
    return undefined
  }

  /** Takes an offset out, wherever it stands; false where it did not rest. */
  delete(offset: number): boolean {
    return this.#untils.delete(offset)
  }

  /** Everything that rests, oldest first. */
  *entries(): Generator<Rest> {
    for (const [offset, until] of this.#untils) yield { offset, until }
  }
}
