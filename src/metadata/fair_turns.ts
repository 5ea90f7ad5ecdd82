/** Work for many who ask, done a little at a time. */

/** Runs something later. @returns takes it back */
export type Schedule = (ms: number, run: () => void) => () => void

/**
 * Work in steps: after each it may be interrupted. A step may name what it costs beside the time
 * that it takes, milliseconds.
 */
export type Steps<T> = Generator<number | undefined, T>

/** What {@link FairTurns} works with. */
export interface TurnsOptions {
  /** Milliseconds, of a clock that no one sets back. */
  readonly now: () => number
  readonly schedule: Schedule
}

interface Source {
  /** Steps that wait, in the order that they came in. */
  readonly jobs: (() => boolean)[]
  /** What it may have in this round, milliseconds; a long step leaves a debt. */
  left: number
}

/** The processor time that all of them may have, of one processor. */
const SHARE = 0.5
/** The longest that they keep the event loop at a time, but for the last step, milliseconds. */
const TURN_MS = 5
/** How long one source is served in a round, milliseconds. */
const QUANTUM_MS = 1
/** Of one source; more are refused. */
const MOST_JOBS = 1024

/**
 * Shares the event loop between what is asked here and everything else, and what is asked here
 * between those who ask, by the processor time that it takes: all of them together have half of one
 * processor, and keep others waiting for some milliseconds; among them each has as much as the
 * others in a round (deficit round robin, Shreedhar and Varghese 1995).
 */
export class FairTurns {
  readonly #now: () => number
  readonly #schedule: Schedule
  /** Those that wait, in the order of their turns. */
  readonly #waiting = new Map<string, Source>()
  /** Milliseconds that may be used now; a long step leaves a debt. */
  #credit = TURN_MS
  #countedAt: number
  #isScheduled = false

  constructor({ now, schedule }: TurnsOptions) {
    this.#now = now
    this.#schedule = schedule
    this.#countedAt = now()
  }

  /**
   * Does work for a source, at once where nobody waits and there is time.
   *
   * @returns undefined where too much of that source waits already
   */
  run<T>(source: string, work: Steps<T>): T | Promise<T> | undefined {
    if (this.#waiting.size === 0 && this.#earned() > 0) {
      const done = this.#advance(work, TURN_MS)
      if (done !== undefined) return done.value
    }
    let waiting = this.#waiting.get(source)
    if (waiting === undefined) {
      waiting = { jobs: [], left: 0 }
      this.#waiting.set(source, waiting)
    }
    const { jobs } = waiting
    if (jobs.length >= MOST_JOBS) return undefined
    this.#later()
    return new Promise((resolve, reject) => {
      jobs.push(() => {
        try {
          const done = this.#advance(work, QUANTUM_MS)
          if (done !== undefined) resolve(done.value)
          return done !== undefined
        } catch (error) {
          reject(error)
          return true
        }
      })
    })
  }

  /** Takes steps for so long at most; what they give when they are through. */
  #advance<T>(work: Steps<T>, ms: number): { readonly value: T } | undefined {
    const began = this.#now()
    let extra = 0
    for (;;) {
      const step = work.next()
      if (!step.done) extra += step.value ?? 0
      const used = this.#now() - began + extra
      if (!step.done && used < Math.min(ms, this.#credit)) continue
      this.#credit -= used
      return step.done ? { value: step.value } : undefined
    }
  }

  #later(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    const ms = Math.ceil((TURN_MS - this.#earned()) / SHARE)
    this.#schedule(Math.max(1, ms), () => {
      this.#isScheduled = false
      this.#turn()
    })
  }

  #turn(): void {
    this.#earned()
    while (this.#credit > 0) {
      const [first] = this.#waiting
      if (first === undefined) return
      const [name, source] = first
      source.left = Math.min(source.left, 0) + QUANTUM_MS
      while (source.left > 0 && source.jobs.length > 0 && this.#credit > 0) this.#serve(source)
      this.#waiting.delete(name)
      if (source.jobs.length > 0) this.#waiting.set(name, source)
    }
    if (this.#waiting.size > 0) this.#later()
  }

  #serve(source: Source): void {
    const before = this.#credit
    if (source.jobs[0]?.() === true) source.jobs.shift()
    source.left -= before - this.#credit
  }

  #earned(): number {
    const now = this.#now()
    this.#credit = Math.min(TURN_MS, this.#credit + (now - this.#countedAt) * SHARE)
    this.#countedAt = now
    return this.#credit
  }
}
