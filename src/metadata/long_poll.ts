/** Requests that wait for a value to become another. */

/** What is waited for. */
export interface Watched<T> {
  /** The value as a client says that it knows it; undefined where there is nothing. */
  readonly text: () => string | undefined
  /** What is answered as things are. */
  readonly answer: () => T
}

/** Runs something later. @returns takes it back */
export type Schedule = (ms: number, run: () => void) => () => void

interface Waiter<T> {
  readonly known: string
  readonly settle: (answer: T) => void
}

interface Group<T> {
  readonly watched: Watched<T>
  readonly waiters: Set<Waiter<T>>
}

/** A request that waits. */
export interface Wait<T> {
  /** The same for requests that look at the same thing: it is looked up once for all of them. */
  readonly key: string
  readonly watched: Watched<T>
  /** The value that the client knows. */
  readonly known: string
  readonly ms: number
  /** Who asks. */
  readonly source: string
  /** Fires when the client has gone. */
  readonly signal?: AbortSignal | undefined
}

/** How many may wait. */
export interface LongPollOptions {
  /** At once. Default 20,000. */
  readonly most?: number | undefined
  /** At once from one source. Default `most`. */
  readonly mostPerSource?: number | undefined
}

/**
 * How long nobody who waits looks again after they did, milliseconds: many changes in a row are
 * gathered meanwhile.
 */
const REST_MS = 50

/**
 * Thousands of requests that wait. They are answered a moment after a change makes their value
 * another than the one they know, else when their time is over, with what is then.
 */
export class LongPoll<T> {
  readonly #groups = new Map<string, Group<T>>()
  readonly #bySource = new Map<string, number>()
  readonly #schedule: Schedule
  readonly #most: number
  readonly #mostPerSource: number
  #waiting = 0
  /** Whether they are to look, and whether they look in a moment or after a rest anyway. */
  #isDue = false
  #isResting = false

  constructor(schedule: Schedule, { most = 20_000, mostPerSource = most }: LongPollOptions = {}) {
    this.#schedule = schedule
    this.#most = most
    this.#mostPerSource = mostPerSource
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * The answer, now where the value is another already.
   *
   * @returns undefined when too many wait
   */
  wait({ key, watched, known, ms, source, signal }: Wait<T>): T | Promise<T> | undefined {
    if (ms <= 0 || signal?.aborted === true || differs(watched.text(), known)) {
      return watched.answer()
    }
    const ofSource = this.#bySource.get(source) ?? 0
    if (this.#waiting >= this.#most || ofSource >= this.#mostPerSource) return undefined
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { watched, waiters: new Set() }
      this.#groups.set(key, group)
    }
    const { waiters } = group
    this.#waiting += 1
    this.#bySource.set(source, ofSource + 1)
    return new Promise((resolve) => {
      const end = (answer: () => T): void => {
        if (!waiters.delete(waiter)) return
        if (waiters.size === 0) this.#groups.delete(key)
        this.#release(source)
        cancel()
        signal?.removeEventListener("abort", onTime)
        resolve(answer())
      }
      const waiter = { known, settle: (answer: T) => end(() => answer) }
      const onTime = (): void => end(watched.answer)
      const cancel = this.#schedule(ms, onTime)
      signal?.addEventListener("abort", onTime)
      waiters.add(waiter)
    })
  }

  /**
   * Something changed: in a moment whoever's value is another then is answered. Who made the
   * change, an attach for instance, does not pay for those who wait.
   */
  changed(): void {
    if (this.#waiting === 0) return
    if (!this.#isDue && !this.#isResting) this.#schedule(0, () => this.#lookAndRest())
    this.#isDue = true
  }

  #lookAndRest(): void {
    this.#isResting = this.#isDue
    if (!this.#isDue) return
    this.#isDue = false
    this.#look()
    this.#schedule(REST_MS, () => this.#lookAndRest())
  }

  #look(): void {
    for (const { watched, waiters } of [...this.#groups.values()]) {
      const text = watched.text()
      const woken = [...waiters].filter(({ known }) => differs(text, known))
      if (woken.length === 0) continue
      const answer = watched.answer()
      for (const waiter of woken) waiter.settle(answer)
    }
  }

  #release(source: string): void {
    this.#waiting -= 1
    const left = (this.#bySource.get(source) ?? 1) - 1
    if (left > 0) this.#bySource.set(source, left)
    else this.#bySource.delete(source)
  }
}

/** A path that is not there is waited for. */
function differs(text: string | undefined, known: string): boolean {
  return text !== undefined && text !== known
}
