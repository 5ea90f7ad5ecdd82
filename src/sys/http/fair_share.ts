/** Shares a server between those who ask, so that none can take the time of the others. */

/** How much one source may ask while others ask too. */
export interface ShareOptions {
  /** Milliseconds that only grow. */
  readonly now: () => number
  /** Requests a second. Default 4000: some twentieth of what a processor can answer. */
  readonly perSecond?: number | undefined
  /** Requests at once after a rest. Default 5000: all who wait behind one address may ask again. */
  readonly burst?: number | undefined
}

/** After that long without a word of any other, a source has the server for itself. */
const ALONE_AFTER_MS = 60_000
/** How often those that were put off are looked at. */
const TICK_MS = 2

/** One source's part. */
export class Share {
  tokens: number
  filledAt: number
  readonly waiting: (() => void)[] = []

  constructor(tokens: number, now: number) {
    this.tokens = tokens
    this.filledAt = now
  }
}

/**
 * A bucket of tokens for each source (RFC 2697 speaks of them). Whoever is alone is never put off;
 * as soon as a second source asks, each has its rate, and what is beyond it waits in order.
 */
export class FairShare {
  readonly #now: () => number
  readonly #perMs: number
  readonly #burst: number
  readonly #waiting = new Set<Share>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #current: Share | undefined
  #currentAt = Number.NEGATIVE_INFINITY
  /** When a source other than the current one last asked. */
  #otherAt = Number.NEGATIVE_INFINITY

  constructor({ now, perSecond, burst }: ShareOptions) {
    this.#now = now
    this.#perMs = (perSecond ?? 4000) / 1000
    this.#burst = burst ?? 5000
  }

  /** The share of a source that has just come. */
  share(): Share {
    return new Share(this.#burst, this.#now())
  }

  /**
   * Whether a source may be answered now, which counts as an answer; else what it asked is to be
   * put off with {@link defer}.
   */
  admits(share: Share): boolean {
    const now = this.#now()
    if (share !== this.#current) {
      this.#otherAt = this.#currentAt
      this.#current = share
    }
    this.#currentAt = now
    this.#fill(share, now)
    const contended = now - this.#otherAt < ALONE_AFTER_MS
    if (contended && (share.tokens < 1 || share.waiting.length > 0)) return false
    // Spent also while alone: a flood has nothing left when the second one asks.
    share.tokens = Math.max(0, share.tokens - 1)
    return true
  }

  /** Does something when it is the source's turn. */
  defer(share: Share, work: () => void): void {
    share.waiting.push(work)
    this.#waiting.add(share)
    this.#timer ??= setTimeout(() => this.#tick(), TICK_MS)
  }

  /** Whether nothing of what a source asked is still held against it. */
  isRested(share: Share): boolean {
    this.#fill(share, this.#now())
    return share.tokens >= this.#burst && share.waiting.length === 0
  }

  /**
   * Forgets a source that has gone and rested: when it comes back with a new share, it is not taken
   * for another one.
   */
  forget(share: Share): void {
    if (share !== this.#current) return
    this.#current = undefined
    this.#currentAt = Number.NEGATIVE_INFINITY
  }

  /** Forgets what waits. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#waiting.clear()
  }

  #tick(): void {
    this.#timer = undefined
    const now = this.#now()
    for (const share of this.#waiting) {
      this.#fill(share, now)
      const due = share.waiting.splice(0, Math.floor(share.tokens))
      share.tokens -= due.length
      if (share.waiting.length === 0) this.#waiting.delete(share)
      for (const work of due) work()
    }
    if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => this.#tick(), TICK_MS)
  }

  #fill(share: Share, now: number): void {
    share.tokens = Math.min(this.#burst, share.tokens + (now - share.filledAt) * this.#perMs)
    share.filledAt = now
  }
}
