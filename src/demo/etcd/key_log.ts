/** Keys of the small etcd, with all that was ever written to them: as much as a demo writes. */

/** A text with a character for each byte: keys are bytes, and are ordered as such. */
export type ByteText = string

/** What was written to a key at a revision; `value` undefined: it was deleted. */
export interface KeyEvent {
  readonly key: ByteText
  readonly value: ByteText | undefined
  readonly revision: number
  /** "0": none. */
  readonly lease: string
}

/** Keys from `first` up to `end`, which is not one of them; undefined: `first` alone; "": all. */
export interface ByteRange {
  readonly first: ByteText
  readonly end: ByteText | undefined
}

export class KeyLog {
  readonly #events: KeyEvent[] = []
  readonly #listeners = new Set<(events: readonly KeyEvent[]) => void>()
  /** Nothing was written yet; 0 stands for "no such key". */
  #revision = 1

  /** Of the last write. */
  get revision(): number {
    return this.#revision
  }

  /** Keys of a range in order, as they were at a revision; by default as they are. */
  range(range: ByteRange, revision = this.#revision): KeyEvent[] {
    const last = new Map<ByteText, KeyEvent>()
    for (const event of this.#events) {
      if (event.revision <= revision && inRange(range, event.key)) last.set(event.key, event)
    }
    const there = [...last.values()].filter(({ value }) => value !== undefined)
    return there.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  get(key: ByteText): KeyEvent | undefined {
    return this.range({ first: key, end: undefined })[0]
  }

  /** Writes all of it as one revision; where nothing changes there is none. */
  write(writes: readonly Omit<KeyEvent, "revision">[]): void {
    const revision = this.#revision + 1
    const events = writes
      .filter(({ key, value }) => value !== undefined || this.get(key) !== undefined)
      .map((write) => ({ ...write, revision }))
    if (events.length === 0) return
    this.#revision = revision
    this.#events.push(...events)
    for (const listener of [...this.#listeners]) listener(events)
  }

  /** What was written to a range from a revision on, oldest first. */
  since(range: ByteRange, revision: number): KeyEvent[] {
    return this.#events.filter((event) => event.revision >= revision && inRange(range, event.key))
  }

  /** Hears each later write. @returns ends that */
  listen(listener: (events: readonly KeyEvent[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

/** Whether a key lies in a range. */
export function inRange({ first, end }: ByteRange, key: ByteText): boolean {
  if (end === undefined) return key === first
  return key >= first && (end === "" || key < end)
}
