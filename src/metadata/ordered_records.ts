/** Records under keys, always listed in the same order, whatever order they came in. */

/** A record as it is sorted. */
interface Entry<T> {
  readonly key: string
  readonly order: string
  readonly record: T
}

/**
 * Records sorted by name, the numbers in it by value, then by key: `web-2` is before `web-10`. Two
 * hosts that know the same records list them alike, and so does a host after a restart. Putting and
 * removing cost a search and a shift.
 */
export class OrderedRecords<T extends { readonly name: string }> {
  readonly #byKey = new Map<string, Entry<T>>()
  readonly #entries: Entry<T>[] = []
  #list: readonly T[] | undefined

  get size(): number {
    return this.#entries.length
  }

  get(key: string): T | undefined {
    return this.#byKey.get(key)?.record
  }

  /** All records in order. The list is never changed: after a change there is a new one. */
  list(): readonly T[] {
    this.#list ??= this.#entries.map(({ record }) => record)
    return this.#list
  }

  /** Adds a record, or replaces the one under that key. */
  put(key: string, record: T): void {
    const before = this.#byKey.get(key)
    const entry: Entry<T> = { key, order: orderOf(record.name), record }
    if (before === undefined) this.#entries.splice(this.#placeOf(entry), 0, entry)
    else if (before.order === entry.order) this.#entries[this.#placeOf(before)] = entry
    else {
      this.#entries.splice(this.#placeOf(before), 1)
      this.#entries.splice(this.#placeOf(entry), 0, entry)
    }
    this.#byKey.set(key, entry)
    this.#list = undefined
  }

  /** Removes the record under that key. */
  remove(key: string): void {
    const entry = this.#byKey.get(key)
    if (entry === undefined) return
    this.#byKey.delete(key)
    this.#entries.splice(this.#placeOf(entry), 1)
    this.#list = undefined
  }

  /** Where an entry is, or belongs. */
  #placeOf(entry: Entry<T>): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const there = this.#entries[middle]
      if (there !== undefined && comesBefore(there, entry)) low = middle + 1
      else high = middle
    }
    return low
  }
}

function comesBefore<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.order === b.order ? a.key < b.key : a.order < b.order
}

/** The first digit's code, plus how many there are, sorts numbers by their length first. */
const LENGTH_BASE = 0x30

/** A text whose plain order is the order of names: without case, numbers by value. */
function orderOf(name: string): string {
  return name.toLowerCase().replace(/\d+/g, (digits) => {
    const number = digits.replace(/^0+(?=\d)/, "")
    return String.fromCharCode(LENGTH_BASE + Math.min(number.length, 9)) + number
  })
}
