/** Values that are made from records, kept for as long as the records are what they were. */

interface Kept<T> {
  readonly inputs: readonly unknown[]
  readonly value: T
}

/** Keeps one value for each record; it is made anew when one of its inputs is another. */
export class Memo<K extends object, T> {
  readonly #kept = new WeakMap<K, Kept<T>>()

  /** @param inputs everything the value is made from beside the record, compared by identity */
  get(record: K, inputs: readonly unknown[], make: () => T): T {
    const kept = this.#kept.get(record)
    if (kept !== undefined && sameItems(kept.inputs, inputs)) return kept.value
    const value = make()
    this.#kept.set(record, { inputs, value })
    return value
  }
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}
