/** Requests that wait for a value to become another. */

/** What a path holds at a moment. */
export interface Snapshot<T> {
  /** The value as a client says that it knows it; undefined where there is nothing. */
  readonly text: string | undefined
  readonly answer: T
}

/** Runs something later. @returns takes it back */
export type Schedule = (ms: number, run: () => void) => () => void

interface Waiter<T> {
  readonly known: string
  readonly settle: (answer: T) => void
}

interface Group<T> {
  readonly look: () => Snapshot<T>
  readonly waiters: Set<Waiter<T>>
}

/** What a request that waits is. */
export interface Wait<T> {
  /** The same for requests that look at the same thing: it is looked up once for all of them. */
  readonly key: string
  readonly look: () => Snapshot<T>
  /** The value that the client knows. */
  readonly known: string
  readonly ms: number
  /** Fires when the client has gone. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Thousands of requests that wait. They are answered as soon as a change makes their value another
 * than the one they know, else when their time is over, with what is then.
 */
export class LongPoll<T> {
  readonly #groups = new Map<string, Group<T>>()
  readonly #schedule: Schedule
  readonly #most: number
  #waiting = 0

  /** @param options.most requests that may wait at once; the next is answered at once */
  constructor(schedule: Schedule, options: { readonly most?: number } = {}) {
    this.#schedule = schedule
    this.#most = options.most ?? 20_000
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#waiting
  }

  wait({ key, look, known, ms, signal }: Wait<T>): Promise<T> {
    const now = look()
    if (differs(now, known) || ms <= 0 || this.#waiting >= this.#most || signal?.aborted === true) {
      return Promise.resolve(now.answer)
    }
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { look, waiters: new Set() }
      this.#groups.set(key, group)
    }
    const { waiters } = group
    this.#waiting += 1
    return new Promise((resolve) => {
      const end = (answer: () => T): void => {
        if (!waiters.delete(waiter)) return
        this.#waiting -= 1
        if (waiters.size === 0) this.#groups.delete(key)
        cancel()
        signal?.removeEventListener("abort", onAbort)
        resolve(answer())
      }
      const waiter: Waiter<T> = { known, settle: (answer) => end(() => answer) }
      const onAbort = (): void => end(() => look().answer)
      const cancel = this.#schedule(ms, () => end(() => look().answer))
      signal?.addEventListener("abort", onAbort)
      waiters.add(waiter)
    })
  }

  /** Something changed: whoever's value is another now is answered. */
  changed(): void {
    for (const { look, waiters } of [...this.#groups.values()]) {
      const now = look()
      for (const waiter of [...waiters]) if (differs(now, waiter.known)) waiter.settle(now.answer)
    }
  }
}

/** A path that is not there is waited for. */
function differs<T>({ text }: Snapshot<T>, known: string): boolean {
  return text !== undefined && text !== known
}
