import { hashLabels, sameLabels } from "./name.ts"

/** What stands in a table. */
export interface Named {
  /** As `encodeName` gives it. */
  readonly name: Uint8Array
}

interface Slot<T> {
  readonly value: T
  next: Slot<T> | undefined
}

const NOTHING = new Uint8Array(0)

/** Values by name. Looking up takes bytes as they came, and makes no object. */
export class NameTable<T extends Named> {
  readonly #slots = new Map<number, Slot<T>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /**
   * The value of the name that labels, with a suffix behind them, are.
   *
   * @param hash of labels and suffix ({@link hashLabels})
   * @param suffix a name of `encodeName`; default none
   */
  find(
    hash: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    suffix: Uint8Array = NOTHING,
  ): T | undefined {
    const length = end - start
    for (let slot = this.#slots.get(hash); slot !== undefined; slot = slot.next) {
      const { name } = slot.value
      if (
        name.length === length + suffix.length &&
        sameLabels(bytes, start, name, 0, length) &&
        sameLabels(suffix, 0, name, length, suffix.length)
      ) {
        return slot.value
      }
    }
    return undefined
  }

  get(name: Uint8Array): T | undefined {
    return this.find(hashLabels(name, 0, name.length), name, 0, name.length)
  }

  /** Adds a value whose name has none yet. */
  add(value: T): void {
    const hash = hashLabels(value.name, 0, value.name.length)
    this.#slots.set(hash, { value, next: this.#slots.get(hash) })
    this.#size += 1
  }

  delete(value: T): void {
    const hash = hashLabels(value.name, 0, value.name.length)
    let before: Slot<T> | undefined
    for (let slot = this.#slots.get(hash); slot !== undefined; slot = slot.next) {
      if (slot.value !== value) {
        before = slot
        continue
      }
      this.#size -= 1
      if (before !== undefined) before.next = slot.next
      else if (slot.next !== undefined) this.#slots.set(hash, slot.next)
      else this.#slots.delete(hash)
      return
    }
  }
}
