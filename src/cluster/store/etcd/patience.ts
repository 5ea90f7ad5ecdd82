/** Of the time that answers take, as TCP does it (RFC 6298 section 2). */
const SMOOTHING = 1 / 8
const DEVIATION = 1 / 4
const DEVIATIONS = 4

/**
 * How long to wait for a member's answer: by what its answers took, so that a slow one is not taken
 * for one that is away, and one that was quick is soon missed.
 */
export class Patience {
  readonly #leastMs: number
  readonly #mostMs: number
  #smoothedMs: number | undefined
  #deviationMs = 0
  /** Doubles with each silence, since what answers too late is never measured. */
  #doubled = 1

  constructor(leastMs: number, mostMs: number) {
    this.#leastMs = leastMs
    this.#mostMs = mostMs
  }

  /** How long to wait for the next answer. */
  get ms(): number {
    const smoothed = this.#smoothedMs ?? 0
    // Twice the usual at least: a store on a slow disk is not as even as a network.
    const wait = smoothed + Math.max(smoothed, DEVIATIONS * this.#deviationMs)
    return Math.min(this.#mostMs, Math.max(this.#leastMs, wait) * this.#doubled)
  }

  /** An answer came after so long. */
  took(ms: number): void {
    if (this.#smoothedMs === undefined) {
      this.#smoothedMs = ms
      this.#deviationMs = ms / 2
    } else {
      const off = Math.abs(this.#smoothedMs - ms)
      this.#deviationMs += DEVIATION * (off - this.#deviationMs)
      this.#smoothedMs += SMOOTHING * (ms - this.#smoothedMs)
    }
    this.#doubled = 1
  }

  /** None came in that time. */
  silent(): void {
    if (this.ms < this.#mostMs) this.#doubled *= 2
  }
}
