/** How long a watch may say nothing before it is looked after. */

/** Times in ms. */
export interface SilenceOptions {
  /** The least silence that makes a watch suspicious. Default 5 s. */
  readonly suspectMs?: number
  /** A watch that the member keeps saying nothing on is opened anew after that. Default 60 s. */
  readonly reopenMs?: number
}

/** A member that is slow for a moment may leave out one notification, and be late with the next. */
const MISSED_NOTIFICATIONS = 2.5
/** Notifications that come less often, such as etcd's default of ten minutes, tell nothing. */
const MOST_INTERVAL_MS = 30_000

/** What was told is on its way for less than two looks, as multiples of `suspectMs`. */
const FIRST_DOUBT = 2

/**
 * Learns how often a member reports progress (--experimental-watch-progress-notify-interval). Where
 * it does so often enough, silence means that the connection is dead; where not, the member has to
 * be asked, and the watch has to be opened anew now and then, because a connection can be dead
 * while its member is well: soon where the member knows of changes that were not heard of, and
 * later each time that they turn out to be of other keys.
 */
export class Silence {
  readonly #suspectMs: number
  readonly #reopenMs: number
  #heardMs = 0
  #intervalMs = Number.POSITIVE_INFINITY
  #doubtMs: number

  constructor(options: SilenceOptions = {}) {
    this.#suspectMs = options.suspectMs ?? 5000
    this.#reopenMs = options.reopenMs ?? 60_000
    this.#doubtMs = this.#firstDoubtMs
  }

  get #firstDoubtMs(): number {
    return Math.min(this.#reopenMs, FIRST_DOUBT * this.#suspectMs)
  }

  /** A stream begins. */
  begin(nowMs: number): void {
    this.#heardMs = nowMs
    this.#intervalMs = Number.POSITIVE_INFINITY
  }

  /** @param what an empty answer by which a member reports progress, changes, or another answer */
  heard(nowMs: number, what: "progress" | "changes" | "other"): void {
    if (what === "changes") this.#doubtMs = this.#firstDoubtMs
    if (what === "progress") this.#intervalMs = Math.min(this.#intervalMs, nowMs - this.#heardMs)
    this.#heardMs = nowMs
  }

  /** How long to wait for the next word. */
  get waitMs(): number {
    return this.#regular
      ? Math.max(this.#suspectMs, this.#intervalMs * MISSED_NOTIFICATIONS)
      : this.#suspectMs
  }

  /** What a silence of {@link waitMs} means. */
  verdict(nowMs: number): "dead" | "ask" | "reopen" {
    if (this.#regular) return "dead"
    return nowMs - this.#heardMs >= this.#reopenMs ? "reopen" : "ask"
  }

  /** Whether the watch is to be opened anew, since the member knows of more than was heard. */
  misses(nowMs: number): boolean {
    if (nowMs - this.#heardMs < this.#doubtMs) return false
    this.#doubtMs = Math.min(this.#reopenMs, 2 * this.#doubtMs)
    return true
  }

  get #regular(): boolean {
    return this.#intervalMs * MISSED_NOTIFICATIONS <= MOST_INTERVAL_MS
  }
}
