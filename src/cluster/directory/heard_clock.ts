/** Time as far as the store could be heard: nobody grows silent who could not be heard. */
export class HeardClock {
  readonly #clock: () => number
  /** Since when the store cannot be heard. */
  #deafSince: number | undefined
  #returnedAt = Number.NEGATIVE_INFINITY

  /** @param clock monotonic milliseconds */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Monotonic milliseconds; stands still while the store cannot be heard. */
  now(): number {
    return this.#deafSince ?? this.#clock()
  }

  /**
   * The store was lost, or is heard again.
   *
   * @returns how long it could not be heard until now, milliseconds: by so much, times from before
   *   are to be put off
   */
  hears(reachable: boolean): number {
    if (!reachable) {
      this.#deafSince ??= this.#clock()
      return 0
    }
    if (this.#deafSince === undefined) return 0
    const deafMs = this.#clock() - this.#deafSince
    this.#deafSince = undefined
    this.returned()
    return deafMs
  }

  /** The store is there again, or another state of it is. */
  returned(): void {
    this.#returnedAt = this.now()
  }

  /** Whether it came back less than so many milliseconds ago. */
  returnedWithin(ms: number): boolean {
    return this.now() - this.#returnedAt < ms
  }
}
