/** Finding the word that was meant by a misspelt one. */

/** Longer words are not compared: the work grows with the product of the lengths. */
const MAX_WORD = 64

/**
 * The optimal string alignment distance: insertions, deletions, substitutions and swaps of
 * neighbours, each counted as one.
 */
export function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1))
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0
  for (const [i, row] of rows.entries()) {
    for (const j of row.keys()) {
      const changed = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const best = Math.min(changed, at(i - 1, j) + 1, at(i, j - 1) + 1)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (i === 0 || j === 0) row[j] = i + j
      else row[j] = isSwapped ? Math.min(best, at(i - 2, j - 2) + 1) : best
    }
  }
  return at(a.length, b.length)
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
