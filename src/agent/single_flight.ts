/** Work that runs once at a time; what is asked for while it runs is done once more after it. */
export class SingleFlight {
  readonly #work: () => Promise<void>
  #running: Promise<void> | undefined
  #again = false

  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Resolves when work has been done that began after this call. @throws what the work throws */
  run(): Promise<void> {
    this.#again = true
    this.#running ??= this.#loop()
    return this.#running
  }

  async #loop(): Promise<void> {
    // Not before run() has noted that it runs.
    await undefined
    try {
      while (this.#again) {
        this.#again = false
        await this.#work()
      }
    } finally {
      // Together with the last look at what was asked for: a call between the two would be lost.
      this.#running = undefined
    }
  }
}
