/** Writes numbered values under a prefix for as long as it takes, and knows which of them stand. */
import type { Store } from "../../src/cluster/store/store.ts"

/** Counts up a value of `<prefix>counter`, each written on top of the one before. */
export class CountingWriter {
  readonly #store: Store
  readonly #key: string
  readonly #done: Promise<void>
  #stopped = false
  /** Values that were written, in order. */
  readonly written: number[] = []
  /** Longest time between two writes that succeeded, ms. */
  longestGapMs = 0
  errors = 0

  constructor(store: Store, prefix: string) {
    this.#store = store
    this.#key = `${prefix}counter`
    this.#done = this.#run()
  }

  get key(): string {
    return this.#key
  }

  /** Stops after the write that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  async #run(): Promise<void> {
    let revision = 0
    let next = 0
    let lastMs = performance.now()
    while (!this.#stopped) {
      try {
        const value = String(next)
        const commit = await this.#store.commit(
          [{ key: this.#key, revision }],
          [{ key: this.#key, value }],
        )
        if (!commit.committed) throw new Error(`${this.#key} was written by another`)
        revision = commit.revision
      } catch (error) {
        if (!(await this.#resolve(next, error))) continue
        revision = (await this.#store.get(this.#key))?.revision ?? 0
      }
      this.written.push(next)
      next++
      const nowMs = performance.now()
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - lastMs)
      lastMs = nowMs
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** After an error it is unknown whether it was written: looks, until the store tells. */
  async #resolve(value: number, error: unknown): Promise<boolean> {
    this.errors++
    while (!this.#stopped) {
      try {
        return (await this.#store.get(this.#key))?.value === String(value)
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    // Ended before it could be known.
    void error
    return false
  }
}
