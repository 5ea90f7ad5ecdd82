/** Finding the word that was meant by a misspelt one. */

/** Longer words are not compared: the work grows with the product of the lengths. */
const MAX_WORD = 64

/**
 * The optimal string alignment distance: insertions, deletions, substitutions and swaps of
 * neighbours, each counted as one.
 */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1
  let beforeLast = new Uint32Array(width)
  let last = Uint32Array.from({ length: width }, (_, j) => j)
  let row = new Uint32Array(width)
  for (let i = 1; i <= a.length; i++) {
    const letter = a.charCodeAt(i - 1)
    row[0] = i
    for (let j = 1; j < width; j++) {
      const other = b.charCodeAt(j - 1)
      const changed = (last[j - 1] ?? 0) + (letter === other ? 0 : 1)
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, changed)
      const swapped = i > 1 && j > 1 && letter === b.charCodeAt(j - 2)
      if (swapped && a.charCodeAt(i - 2) === other) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1)
      }
      row[j] = best
    }
    const spare = beforeLast
    beforeLast = last
    last = row
    row = spare
  }
  return last[b.length] ?? 0
}

/**
 * The candidate nearest to a word, or undefined when none is near enough to be what was meant:
 * at most a third of the word's letters may differ, and at most 3. Case and the separators `_`
 * and `-` count for nothing.
 */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_WORD) return undefined
  const folded = fold(word)
  let found: string | undefined
  let least = Math.min(3, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const foldedCandidate = fold(candidate)
    // The distance is at least the difference in length.
    if (Math.abs(foldedCandidate.length - folded.length) >= least) continue
    const distance = editDistance(folded, foldedCandidate)
    if (distance < least) {
      least = distance
      found = candidate
    }
  }
  return found
}

function fold(word: string): string {
  return word.toLowerCase().replace(/[_-]/g, "")
}
