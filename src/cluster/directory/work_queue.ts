/** Work that is done in order and in parts, so that whatever shares the thread has its turn too. */

/** How a {@link WorkQueue} shares the thread. */
export interface WorkQueueOptions {
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** Calls back once others had their turn, as setImmediate does. Default: all is done at once. */
  readonly later?: ((go: () => void) => void) | undefined
}

/** How long others wait, milliseconds. */
const TURN_MS = 10

/** Runs generators one after the other; each `yield` is a place where it may pause. */
export class WorkQueue {
  readonly #clock: () => number
  readonly #later: ((go: () => void) => void) | undefined
  #works: Iterator<void>[] = []
  /** It runs, or will be called back. */
  #busy = false

  constructor({ clock, later }: WorkQueueOptions) {
    this.#clock = clock
    this.#later = later
  }

  /** Does it after what was added before: at once, as far as one turn goes. @throws what it throws */
  add(work: Iterator<void>): void {
    this.#works.push(work)
    if (!this.#busy) this.#run()
  }

  /** Forgets what is not done yet. */
  clear(): void {
    this.#works = []
  }

  #run(): void {
    this.#busy = true
    try {
      const end = this.#clock() + TURN_MS
      for (let work = this.#works[0]; work !== undefined; work = this.#works[0]) {
        if (!this.#advance(work)) continue
        if (this.#later === undefined || this.#clock() < end) continue
        this.#later(() => this.#run())
        return
      }
    } catch (error) {
      // What comes after it is done all the same.
      this.#works.shift()
      if (this.#works.length > 0) this.#later?.(() => this.#run())
      if (this.#works.length === 0 || this.#later === undefined) this.#busy = false
      throw error
    }
    this.#busy = false
  }

  /** One step; false where the work is done. */
  #advance(work: Iterator<void>): boolean {
    if (work.next().done !== true) return true
    // It may have been cleared meanwhile.
    if (this.#works[0] === work) this.#works.shift()
    return false
  }
}
