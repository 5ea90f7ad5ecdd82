/**
 * The map of free addresses: a 64-ary tree of bits in raw memory, where 1 means free.
 *
 * Level 0 has a bit per address. A bit of level k+1 says whether the word below it in level k has
 * a bit set. Four levels reach 64^4 = 2^24 addresses: a /8, or as much of an IPv6 range. Bits
 * past the size are never set at any level, which is the bound of each level: a search that walks
 * along a level cannot leave the pool.
 *
 * Each map lives in a region that the host sets aside; every function takes the region's first
 * byte as `base`. Offsets are fixed, so that they fold into the load and store instructions.
 * Level 0 is last so that the region of a small pool ends early:
 *
 *        0  size        u32, addresses in the pool
 *        4  used        u32, addresses taken
 *        8  level 3     1 word of 64 bits
 *       64  level 2     64 words
 *      576  level 1     4,096 words
 *   33,344  level 0     a word per 64 addresses, 262,144 at most
 */

const SIZE: usize = 0
const USED: usize = 4
const LEVEL3: usize = 8
const LEVEL2: usize = 64
const LEVEL1: usize = LEVEL2 + 64 * 8

/** Offset of level 0 in a region, bytes. */
const LEVEL0: usize = LEVEL1 + 64 * 64 * 8

/** Most addresses of a pool. */
export const MAX_SIZE: u32 = 1 << 24

/** A map of size 0, always there: what a closed map of the host points at. */
export const EMPTY: usize = 0

/** The first byte that regions may use, past the map of size 0. */
export const REGIONS: usize = 64

/** The answer where no address is free. */
const NONE: i32 = -1

/** Bytes from the start of a level to one of its words. */
function at(word: usize): usize {
  return word << 3
}

/** Words that hold a bit for each of `count` things. */
function wordsFor(count: u32): u32 {
  return (count + 63) >>> 6
}

// The three masks below take any n: WebAssembly shifts a word by n modulo 64.

/** A word with bit n set. */
function bitAt(n: u32): u64 {
  return (<u64>1) << (<u64>n)
}

/** A word with bit n and all above it set. */
function bitsFrom(n: u32): u64 {
  return (<u64>-1) << (<u64>n)
}

/**
 * A word with all bits above bit n set, and none where n is 63: a search for the next bit never
 * carries into the next word by accident, the level above finds that word.
 */
function bitsAfter(n: u32): u64 {
  return (<u64>-2) << (<u64>n)
}

/** Bytes of the region of a pool; regions begin at multiples of 8. */
export function regionBytes(size: u32): usize {
  return LEVEL0 + at(wordsFor(size))
}

/**
 * Makes a map with every address free in a region, whatever was there before.
 *
 * @param size addresses, 1 to 2^24; the host checks
 */
export function init(base: usize, size: u32): void {
  store<u32>(base + SIZE, size)
  store<u32>(base + USED, 0)
  fill(base + LEVEL0, size)
  const words = summarize(base + LEVEL1, base + LEVEL0, wordsFor(size))
  summarize(base + LEVEL3, base + LEVEL2, summarize(base + LEVEL2, base + LEVEL1, words))
}

/** Sets the first `count` bits of a level, and clears the rest of the last word. */
function fill(level: usize, count: u32): void {
  const whole = count >>> 6
  memory.fill(level, 0xff, at(whole))
  const rest = count & 63
  if (rest != 0) store<u64>(level + at(whole), ~bitsFrom(rest))
}

/** Makes one level of summary bits from `words` words of the level below; returns its words. */
function summarize(level: usize, lower: usize, words: u32): u32 {
  const above = wordsFor(words)
  for (let i: u32 = 0; i < above; i++) {
    let summary: u64 = 0
    const first = i << 6
    const count = min<u32>(64, words - first)
    for (let j: u32 = 0; j < count; j++) {
      if (load<u64>(lower + at(first + j)) != 0) summary |= bitAt(j)
    }
    store<u64>(level + at(i), summary)
  }
  return above
}

/** How many addresses are taken. */
export function used(base: usize): u32 {
  return load<u32>(base + USED)
}

/** Whether an address of the pool is taken. */
export function has(base: usize, index: u32): bool {
  if (index >= load<u32>(base + SIZE)) return false
  return ((load<u64>(base + at(index >>> 6), LEVEL0) >>> (index & 63)) & 1) == 0
}

/** Tells the upper levels that a word of level 0 has no free bit left. */
function clearAbove(base: usize, word: u32): void {
  let left = load<u64>(base + at(word >>> 6), LEVEL1) & ~bitAt(word)
  store<u64>(base + at(word >>> 6), left, LEVEL1)
  if (left != 0) return
  word >>>= 6
  left = load<u64>(base + at(word >>> 6), LEVEL2) & ~bitAt(word)
  store<u64>(base + at(word >>> 6), left, LEVEL2)
  if (left != 0) return
  word >>>= 6
  store<u64>(base + LEVEL3, load<u64>(base + LEVEL3) & ~bitAt(word))
}

/** Tells the upper levels that a word of level 0 has its first free bit. */
function setAbove(base: usize, word: u32): void {
  let before = load<u64>(base + at(word >>> 6), LEVEL1)
  store<u64>(base + at(word >>> 6), before | bitAt(word), LEVEL1)
  if (before != 0) return
  word >>>= 6
  before = load<u64>(base + at(word >>> 6), LEVEL2)
  store<u64>(base + at(word >>> 6), before | bitAt(word), LEVEL2)
  if (before != 0) return
  word >>>= 6
  store<u64>(base + LEVEL3, load<u64>(base + LEVEL3) | bitAt(word))
}

/**
 * The first word of level 0 after `word` that has a free bit, going on from the start of the pool
 * after its end; the word itself comes last. -1 where every address is taken.
 */
function nextWord(base: usize, word: u32): i32 {
  let index = word >>> 6
  let later = load<u64>(base + at(index), LEVEL1) & bitsAfter(word)
  if (later != 0) return (index << 6) | <u32>ctz(later)

  let above = index >>> 6
  later = load<u64>(base + at(above), LEVEL2) & bitsAfter(index)
  if (later == 0) {
    const top = load<u64>(base + LEVEL3)
    later = top & bitsAfter(above)
    if (later == 0) later = top
    if (later == 0) return NONE
    above = <u32>ctz(later)
    later = load<u64>(base + at(above), LEVEL2)
  }
  index = (above << 6) | <u32>ctz(later)
  return (index << 6) | <u32>ctz(load<u64>(base + at(index), LEVEL1))
}

/**
 * Takes the next free address at or after the hint, going on from the start after the end.
 *
 * @param hint where to begin; past the end means the start
 * @returns the address, or -1 where none is free
 */
export function allocate(base: usize, hint: u32): i32 {
  const size = load<u32>(base + SIZE)
  if (hint >= size) {
    if (size == 0) return NONE
    hint = 0
  }
  let word = hint >>> 6
  let all = load<u64>(base + at(word), LEVEL0)
  let free = all & bitsFrom(hint)
  if (free == 0) {
    const next = nextWord(base, word)
    if (next < 0) return NONE
    word = next
    all = load<u64>(base + at(word), LEVEL0)
    free = all
  }
  const bit = <u32>ctz(free)
  all ^= free & (0 - free)
  store<u64>(base + at(word), all, LEVEL0)
  store<u32>(base + USED, load<u32>(base + USED) + 1)
  if (all == 0) clearAbove(base, word)
  return (word << 6) | bit
}

/**
 * Takes this very address.
 *
 * @returns whether it was free; an address past the end is not
 */
export function take(base: usize, index: u32): bool {
  if (index >= load<u32>(base + SIZE)) return false
  const word = index >>> 6
  const all = load<u64>(base + at(word), LEVEL0)
  const left = all & ~bitAt(index)
  if (left == all) return false
  store<u64>(base + at(word), left, LEVEL0)
  store<u32>(base + USED, load<u32>(base + USED) + 1)
  if (left == 0) clearAbove(base, word)
  return true
}

/**
 * Gives an address back.
 *
 * @returns whether it was taken; an address past the end is not
 */
export function free(base: usize, index: u32): bool {
  if (index >= load<u32>(base + SIZE)) return false
  const word = index >>> 6
  const before = load<u64>(base + at(word), LEVEL0)
  const after = before | bitAt(index)
  if (after == before) return false
  store<u64>(base + at(word), after, LEVEL0)
  store<u32>(base + USED, load<u32>(base + USED) - 1)
  if (before == 0) setAbove(base, word)
  return true
}
