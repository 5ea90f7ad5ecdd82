/** So many a second, and as many at once. */
export class Allowance {
  readonly #perSecond: number
  readonly #now: () => number
  #left: number
  /** When what was left was counted last: again once there is none. */
  #countedAt: number

  /** @param now milliseconds, of a clock that no one sets back */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond
    this.#now = now
    this.#left = perSecond
    this.#countedAt = now()
  }

  /** Whether there is one. */
  get isLeft(): boolean {
    if (this.#left >= 1) return true
    const now = this.#now()
    const earned = ((now - this.#countedAt) / 1000) * this.#perSecond
    this.#left = Math.min(this.#perSecond, this.#left + earned)
    this.#countedAt = now
    return this.#left >= 1
  }

  take(): void {
    this.#left -= 1
  }
}
