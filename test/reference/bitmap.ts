/**
 * The address map in plain TypeScript, for the tests and the benchmark: the same tree of bits as
 * asm/bitmap.ts over words of 32 bits, which is what JavaScript's own operators work on.
 */

/** One level of the tree. The last has one word. */
type Level = Uint32Array

function makeLevel(bits: number): Level {
  const words = new Uint32Array(Math.ceil(bits / 32)).fill(0xffff_ffff)
  const rest = bits & 31
  if (rest !== 0) words[words.length - 1] = 2 ** rest - 1
  return words
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word)
}

/** Answers every call as {@link import("../../src/core/bitmap.ts").Bitmap} does, without snapshots. */
export class ReferenceBitmap {
  readonly size: number
  #used = 0
  readonly #words: Level
  /** Summary levels, lowest first. */
  readonly #above: Level[] = []

  constructor(size: number) {
    this.size = size
    this.#words = makeLevel(size)
    for (let words = this.#words.length; words > 1; words = Math.ceil(words / 32)) {
      this.#above.push(makeLevel(words))
    }
  }

  get used(): number {
    return this.#used
  }

  #inside(index: number): boolean {
    return (index | 0) === index && index >= 0 && index < this.size
  }

  has(index: number): boolean {
    return this.#inside(index) && (((this.#words[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 0
  }

  allocate(hint: number): number {
    const start = this.#inside(hint) ? hint : 0
    let word = start >>> 5
    let free = (this.#words[word] ?? 0) & (-1 << (start & 31))
    if (free === 0) {
      word = this.#nextWord(word)
      if (word < 0) return -1
      free = this.#words[word] ?? 0
    }
    const index = (word << 5) | lowestBit(free)
    this.#use(index)
    return index
  }

  take(index: number): boolean {
    if (!this.#inside(index) || this.has(index)) return false
    this.#use(index)
    return true
  }

  free(index: number): boolean {
    if (!this.#inside(index)) return false
    let at = index >>> 5
    const before = this.#words[at] ?? 0
    const bit = 1 << (index & 31)
    if ((before & bit) !== 0) return false
    this.#words[at] = before | bit
    this.#used--
    if (before !== 0) return true
    for (const level of this.#above) {
      const word = level[at >>> 5] ?? 0
      level[at >>> 5] = word | (1 << (at & 31))
      if (word !== 0) break
      at >>>= 5
    }
    return true
  }

  #use(index: number): void {
    let at = index >>> 5
    let left = (this.#words[at] ?? 0) & ~(1 << (index & 31))
    this.#words[at] = left
    this.#used++
    if (left !== 0) return
    for (const level of this.#above) {
      left = (level[at >>> 5] ?? 0) & ~(1 << (at & 31))
      level[at >>> 5] = left
      if (left !== 0) break
      at >>>= 5
    }
  }

  /** The first word after `word` with a free bit, the word itself last; -1 where there is none. */
  #nextWord(word: number): number {
    let at = word
    for (let k = 0; k < this.#above.length; k++) {
      const later = (this.#above[k]?.[at >>> 5] ?? 0) & (-2 << (at & 31))
      if (later !== 0) return this.#descend(k, (at & ~31) | lowestBit(later))
      at >>>= 5
    }
    const top = this.#above.at(-1)?.[0]
    // A pool of one word has no summary: its word is the only one left to look at.
    if (top === undefined) return this.#words[0] === 0 ? -1 : 0
    return top === 0 ? -1 : this.#descend(this.#above.length - 1, lowestBit(top))
  }

  /** The first word of level 0 with a free bit under bit `at` of summary level `k`. */
  #descend(k: number, at: number): number {
    let word = at
    for (let below = k - 1; below >= 0; below--) {
      word = (word << 5) | lowestBit(this.#above[below]?.[word] ?? 0)
    }
    return word
  }
}
