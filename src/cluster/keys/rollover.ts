/** Key rollover: when this host makes a generation of keys, and when older ones go. */

import type { PublicGeneration } from "./announcement.ts"
import type { OwnGenerations } from "./own_generations.ts"

/** How long a {@link Rollover} waits. */
export interface RolloverTimes {
  /** How long packets may be on their way, milliseconds. */
  readonly graceMs: number
  /** How long a live host may fail to take new keys, milliseconds. */
  readonly patienceMs: number
}

/**
 * The life of this host's generations: wanted, made once the one before has been published,
 * withdrawn once no host needs older ones, dropped a grace after the store's announcement lists them
 * no more.
 */
export class Rollover {
  readonly #own: OwnGenerations
  readonly #times: RolloverTimes
  #wanted = false
  /** When the older generations are withdrawn; undefined while a host still needs them. */
  #withdrawAt: number | undefined = undefined
  /** Generations that the store's announcement lists no more, and when they go. */
  readonly #dropAt = new Map<number, number>()

  constructor(own: OwnGenerations, times: RolloverTimes) {
    this.#own = own
    this.#times = times
  }

  /** Whether another generation is wanted than there is. */
  get wanted(): boolean {
    return this.#wanted
  }

  /** Generations that go, and when. */
  get leaving(): ReadonlyMap<number, number> {
    return this.#dropAt
  }

  /** Wants a new generation: at once, or when the one before has come far enough. */
  want(): void {
    this.#wanted = true
  }

  /**
   * Makes the generation that is wanted, once the one before has been published.
   *
   * @returns why it could not be made, else undefined
   */
  make(): unknown {
    if (!this.#wanted || this.#own.newest.publishedTime === undefined) return undefined
    try {
      if (this.#own.rotate()) {
        this.#wanted = false
        this.#withdrawAt = undefined
      }
      return undefined
    } catch (error) {
      return error
    }
  }

  /** The store took an announcement that lists these: withdrawn ones that it does not list go. */
  published(listed: readonly PublicGeneration[], now: number): void {
    for (const { generation, live } of this.#own.held) {
      if (live || listed.some((each) => each.generation === generation)) continue
      if (!this.#dropAt.has(generation)) this.#dropAt.set(generation, now + this.#times.graceMs)
    }
  }

  /** Drops what is over. @returns when the next one is */
  drop(now: number): number | undefined {
    for (const [generation, at] of this.#dropAt) {
      if (at > now) continue
      this.#own.drop(generation)
      this.#dropAt.delete(generation)
    }
    return this.#dropAt.size === 0 ? undefined : Math.min(...this.#dropAt.values())
  }

  /**
   * Withdraws all but the newest generation, a grace after nobody needs them any more.
   *
   * @param isNeeded whether a live host still has to act on the newest
   * @returns when something of it is next
   */
  withdraw(now: number, isNeeded: () => boolean): number | undefined {
    const { newest } = this.#own
    if (this.#own.live.length < 2 || newest.publishedAt === undefined) return undefined
    const patienceEnds = (newest.publishedTime ?? now) + this.#times.patienceMs
    if (now < patienceEnds && isNeeded()) {
      this.#withdrawAt = undefined
      return patienceEnds
    }
    this.#withdrawAt ??= now + this.#times.graceMs
    if (now < this.#withdrawAt) return this.#withdrawAt
    this.#withdrawAt = undefined
    this.#own.withdrawOld()
    return undefined
  }

  /** Revisions mean something else now: whether older ones are needed is to be asked again. */
  forgetRevisions(): void {
    this.#withdrawAt = undefined
  }
}
