/** Values that are made from records, kept for as long as the records are what they were. */

interface Kept<T> {
  readonly parts: readonly unknown[]
  readonly value: T
}

/** Keeps one value for each record; it is made anew when one of the parts is another. */
export class Memo<K extends object, T> {
  readonly #kept = new WeakMap<K, Kept<T>>()

  /** @param parts everything the value is made from beside the record, compared by identity */
  get(record: K, parts: readonly unknown[], make: () => T): T {
    const kept = this.#kept.get(record)
    if (kept !== undefined && sameItems(kept.parts, parts)) return kept.value
    const value = make()
    this.#kept.set(record, { parts, value })
    return value
  }
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}
