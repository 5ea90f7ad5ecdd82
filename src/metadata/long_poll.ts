/** Requests that wait for a value to become another. */

import type { Schedule, Steps } from "./fair_turns.ts"

/** What is waited for. */
export interface Watched<T> {
  /** The value as a client says that it knows it; undefined where there is nothing. */
  readonly text: () => string | undefined
  /** What is answered as things are. */
  readonly answer: () => T
}

interface Waiter<T> {
  readonly known: string
  readonly source: string
  readonly size: number
  /** Undefined: it has to make room. */
  readonly settle: (answer: T | undefined) => void
}

interface Group<T> {
  readonly watched: Watched<T>
  readonly waiters: Set<Waiter<T>>
}

/** What waits of one source, and what it holds, bytes. */
interface Holder<T> {
  readonly waiters: Set<Waiter<T>>
  bytes: number
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
  /** What is held for it, bytes. Default: what the least takes. */
  readonly size?: number | undefined
  /** Fires when the client has gone. */
  readonly signal?: AbortSignal | undefined
}

/** How many may wait, and who looks for them. */
export interface LongPollOptions {
  /** At once. Default 20,000. */
  readonly most?: number | undefined
  /** At once from one source. Default `most`. */
  readonly mostPerSource?: number | undefined
  /** What is held for all of them, bytes. Default 64 MiB. */
  readonly mostBytes?: number | undefined
  /** Looks at what a source waits for, in steps. Default: at once. */
  readonly look?: ((source: string, steps: Steps<undefined>) => void) | undefined
}

/** What is counted for one that goes on, milliseconds: after a thousand of them others have their turn. */
const WAKE_MS = 0.005
/** What the least request that waits takes, bytes. */
const LEAST_BYTES = 2048

/**
 * How long nobody who waits looks again after they did, milliseconds: many changes in a row are
 * gathered meanwhile. At least so long, and more where many wait, so that they have a fifth of the
 * time: beside 6,000 containers a path takes 0.01 ms, an answer and the request that follows it 0.04.
 */
const REST_MS = 50
const REST_PER_PATH_MS = 0.1
const REST_PER_ANSWER_MS = 0.2

/**
 * Thousands of requests that wait. They are answered a moment after a change makes their value
 * another than the one they know, else when their time is over, with what is then. Where there is no
 * room for more, the source that holds most makes some.
 */
export class LongPoll<T> {
  readonly #groups = new Map<string, Group<T>>()
  readonly #bySource = new Map<string, Holder<T>>()
  readonly #schedule: Schedule
  readonly #limits: {
    readonly most: number
    readonly mostPerSource: number
    readonly mostBytes: number
  }
  readonly #lookIn: (source: string, steps: Steps<undefined>) => void
  #waiting = 0
  #bytes = 0
  /** Whether they are to look, and whether they look in a moment or after a rest anyway. */
  #isDue = false
  #isResting = false
  /** How long they are to rest after a look, milliseconds. */
  #restMs = 0

  constructor(schedule: Schedule, options: LongPollOptions = {}) {
    const { most = 20_000, mostPerSource = most, mostBytes = 64 * 1024 * 1024 } = options
    this.#schedule = schedule
    this.#limits = { most, mostPerSource, mostBytes }
    this.#lookIn = options.look ?? ((_, steps) => void [...steps])
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * The answer, now where the value is another already and nothing was told a moment ago: who was
   * answered then and asks again is answered with the changes that are gathered.
   *
   * @returns undefined when too many wait
   */
  wait(asked: Wait<T>): T | Promise<T | undefined> | undefined {
    const { key, watched, known, ms, source, size = LEAST_BYTES, signal } = asked
    const isOld = differs(watched.text(), known)
    if (ms <= 0 || signal?.aborted === true || (isOld && !this.#isResting)) return watched.answer()
    if (!this.#makeRoom(source, size)) return undefined
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { watched, waiters: new Set() }
      this.#groups.set(key, group)
    }
    const { waiters } = group
    this.#isDue ||= isOld
    return new Promise((resolve) => {
      const settle = (answer: T | undefined): void => {
        if (!waiters.delete(waiter)) return
        if (waiters.size === 0) this.#groups.delete(key)
        this.#release(waiter)
        cancel()
        signal?.removeEventListener("abort", onTime)
        resolve(answer)
      }
      const waiter = { known, source, size, settle }
      const onTime = (): void => settle(watched.answer())
      const cancel = this.#schedule(ms, onTime)
      signal?.addEventListener("abort", onTime)
      waiters.add(waiter)
      this.#hold(waiter)
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
    this.#rest(0)
  }

  /** @param rested so far; those that are answered meanwhile, in turns, make it longer */
  #rest(rested: number): void {
    const until = Math.max(REST_MS, this.#restMs)
    if (rested >= until) this.#lookAndRest()
    else this.#schedule(until - rested, () => this.#rest(until))
  }

  /** Each source looks for those that wait for what it was the first to wait for. */
  #look(): void {
    this.#restMs = this.#groups.size * REST_PER_PATH_MS
    const bySource = new Map<string, Group<T>[]>()
    for (const group of this.#groups.values()) {
      const [first] = group.waiters
      if (first === undefined) continue
      const groups = bySource.get(first.source)
      if (groups === undefined) bySource.set(first.source, [group])
      else groups.push(group)
    }
    for (const [source, groups] of bySource) {
      // What others wait for too is not behind what it alone waits for.
      groups.sort((a, b) => b.waiters.size - a.waiters.size)
      this.#lookIn(source, this.#steps(groups))
    }
  }

  *#steps(groups: readonly Group<T>[]): Steps<undefined> {
    for (const { watched, waiters } of groups) {
      yield
      const text = watched.text()
      const woken = [...waiters].filter(({ known }) => differs(text, known))
      if (woken.length === 0) continue
      const answer = watched.answer()
      for (const waiter of woken) {
        waiter.settle(answer)
        this.#restMs += REST_PER_ANSWER_MS
        yield WAKE_MS
      }
    }
    return undefined
  }

  #makeRoom(source: string, size: number): boolean {
    const { most, mostPerSource, mostBytes } = this.#limits
    const own = this.#bySource.get(source)
    if ((own?.waiters.size ?? 0) >= mostPerSource) return false
    while (this.#waiting >= most || this.#bytes + size > mostBytes) {
      let found: Holder<T> | undefined
      for (const one of this.#bySource.values()) {
        if (one.bytes > (found?.bytes ?? (own?.bytes ?? 0) + size)) found = one
      }
      const [oldest] = found?.waiters ?? []
      if (oldest === undefined) return false
      oldest.settle(undefined)
    }
    return true
  }

  #hold(waiter: Waiter<T>): void {
    const holder = this.#bySource.get(waiter.source) ?? { waiters: new Set(), bytes: 0 }
    this.#bySource.set(waiter.source, holder)
    holder.waiters.add(waiter)
    holder.bytes += waiter.size
    this.#bytes += waiter.size
    this.#waiting += 1
  }

  #release(waiter: Waiter<T>): void {
    const holder = this.#bySource.get(waiter.source)
    if (holder?.waiters.delete(waiter) !== true) return
    holder.bytes -= waiter.size
    this.#bytes -= waiter.size
    this.#waiting -= 1
    if (holder.waiters.size === 0) this.#bySource.delete(waiter.source)
  }
}

/** A path that is not there is waited for. */
function differs(text: string | undefined, known: string): boolean {
  return text !== undefined && text !== known
}
