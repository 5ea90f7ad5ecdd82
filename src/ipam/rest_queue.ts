/** Quarantine: offsets that were released and wait, first in, first out. */

/**
 * Offsets with the time until which they rest, in order of release. All operations take amortised
 * constant time: an offset removed from the middle leaves a stale entry behind that is passed over
 * later, and stale entries never outnumber the live ones for long.
 *
 * The order of release is the order of expiry, because every offset rests equally long; the
 * caller sees to that.
 */
export class Quarantine {
  #offsets: number[] = []
  #untils: number[] = []
  /** Index of the oldest entry in the two arrays. */
  #head = 0
  /** Live offsets, and which entry of the arrays is theirs. */
  readonly #entryOf = new Map<number, number>()

  /** How many offsets rest. */
  get size(): number {
    return this.#entryOf.size
  }

  has(offset: number): boolean {
    return this.#entryOf.has(offset)
  }

  /** Puts an offset that does not rest yet at the end. */
  push(offset: number, until: number): void {
    this.#entryOf.set(offset, this.#offsets.length)
    this.#offsets.push(offset)
    this.#untils.push(until)
  }

  /** The offset that rested longest and the time until which it rests. */
  peek(): { readonly offset: number; readonly until: number } | undefined {
    for (; this.#head < this.#offsets.length; this.#head++) {
      const offset = this.#offsets[this.#head]
      const until = this.#untils[this.#head]
      if (offset === undefined || until === undefined) break
      if (this.#entryOf.get(offset) === this.#head) return { offset, until }
    }
    return undefined
  }

  /** Takes an offset out, wherever it stands; false where it did not rest. */
  delete(offset: number): boolean {
    const removed = this.#entryOf.delete(offset)
    if (this.#offsets.length > 2 * this.#entryOf.size + 64) this.#compact()
    return removed
  }

  /** Everything that rests, oldest first. */
  *entries(): Generator<{ readonly offset: number; readonly until: number }> {
    for (let i = this.#head; i < this.#offsets.length; i++) {
      const offset = this.#offsets[i]
      const until = this.#untils[i]
      if (offset === undefined || until === undefined) continue
      if (this.#entryOf.get(offset) === i) yield { offset, until }
    }
  }

  #compact(): void {
    const live = [...this.entries()]
    this.#offsets = live.map((entry) => entry.offset)
    this.#untils = live.map((entry) => entry.until)
    this.#head = 0
    this.#entryOf.clear()
    for (const [i, entry] of live.entries()) this.#entryOf.set(entry.offset, i)
  }
}
