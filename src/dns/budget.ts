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
  readonly address: string
  round: number
  used: number
}

/** What was asked in a round that is over. */
export interface Round {
  /** The client that asked most. */
  readonly heaviest: string
  /** How much it asked. */
  readonly used: number
  /** How much all asked. */
  readonly total: number
  readonly clients: number
  /** What may be answered in a round while several ask. */
  readonly fair: number
  /** How long a round is; from one to the next it may take longer. */
  readonly roundMs: number
  /** Milliseconds. */
  readonly now: number
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
  #total = 0
  #heaviest: Share | undefined
  readonly #listeners: ((round: Round) => void)[] = []

  constructor(options: BudgetOptions = {}) {
    this.#roundMs = options.roundMs ?? 10
    this.#queriesPerRound = options.queriesPerRound ?? 600
  }

  /** A client's share, to be kept with it. */
  share(address: string): Share {
    return { address, round: -1, used: 0 }
  }

  /** Hears of each round in which something was asked, when the next one begins. */
  onRound(listener: (round: Round) => void): void {
    this.#listeners.push(listener)
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
    this.#total += 1
    if (this.#heaviest === undefined || share.used > this.#heaviest.used) this.#heaviest = share
    const clients = Math.max(this.#clients, this.#clientsBefore)
    return clients <= 1 || share.used <= this.#queriesPerRound / clients
  }

  #nextRound(now: number): void {
    const heaviest = this.#heaviest
    if (heaviest !== undefined) {
      const { address, used } = heaviest
      const [total, clients, fair] = [this.#total, this.#clients, this.#queriesPerRound]
      const roundMs = this.#roundMs
      const round = { heaviest: address, used, total, clients, fair, roundMs, now }
      for (const listener of this.#listeners) listener(round)
    }
    this.#heaviest = undefined
    this.#total = 0
    // After a pause nobody of the last round counts.
    this.#clientsBefore = now - this.#until < this.#roundMs ? this.#clients : 0
    this.#clients = 0
    this.#round += 1
    this.#until = now + this.#roundMs
  }
}
