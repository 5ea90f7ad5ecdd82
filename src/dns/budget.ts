/** Settings of a {@link Budget}. */
export interface BudgetOptions {
  /** Length of a round. Default 10. */
  readonly roundMs?: number
  /**
   * Queries that are answered in a round while several clients ask; each has an equal part of it,
   * and what others leave. Default 600: what one processor does in 10 ms with room to spare.
   */
  readonly queriesPerRound?: number
}

/** How much one client has asked in a round. */
export interface Share {
  round: number
  used: number
}

/**
 * Keeps one client from taking all the time: while others ask as well, each may have its part of
 * what can be done in a round. A client alone may have all of it. Costs a comparison or two.
 */
export class Budget {
  readonly #roundMs: number
  readonly #queriesPerRound: number
  #round = 0
  #clients = 0
  #clientsBefore = 0
  #until = Number.NEGATIVE_INFINITY

  constructor(options: BudgetOptions = {}) {
    this.#roundMs = options.roundMs ?? 10
    this.#queriesPerRound = options.queriesPerRound ?? 600
  }

  /** A client's share, to be kept with it. */
  share(): Share {
    return { round: -1, used: 0 }
  }

  /**
   * Counts one query.
   *
   * @param now milliseconds
   * @returns whether it is to be answered; otherwise it is to be dropped
   */
  take(share: Share, now: number): boolean {
    if (now >= this.#until) this.#nextRound(now)
    if (share.round !== this.#round) {
      share.round = this.#round
      share.used = 0
      this.#clients += 1
    }
    share.used += 1
    const clients = Math.max(this.#clients, this.#clientsBefore)
    return clients <= 1 || share.used <= this.#queriesPerRound / clients
  }

  #nextRound(now: number): void {
    // After a pause nobody of the last round counts.
    this.#clientsBefore = now - this.#until < this.#roundMs ? this.#clients : 0
    this.#clients = 0
    this.#round += 1
    this.#until = now + this.#roundMs
  }
}
