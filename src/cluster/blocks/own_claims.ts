/** How sure a host is of its own claims. */

import type { BlockClaim } from "../records/block_claim.ts"

/**
 * How long a claim has to stand over that of a host that is there until it is taken for agreed,
 * milliseconds. Hosts go over their blocks every 30 seconds, and hear at once when another one writes
 * over theirs.
 */
export const CONSENT_MS = 120_000
/**
 * A host that stood still for so long cannot say whether its claims stood meanwhile, milliseconds:
 * less than the time in which another one's is taken for agreed.
 */
const STILL_MS = CONSENT_MS / 2

/**
 * What this host knows of the claims that it wrote: which is the newest of each block, and whether
 * it saw that stand in the store as it is now.
 */
export class OwnClaims {
  readonly #clock: () => number
  /** By key: the newest of this host's claims that was written. */
  readonly #newest = new Map<string, string>()
  /** Keys whose claim was seen standing. */
  readonly #sure = new Set<string>()
  #beatAt: number

  /** @param clock monotonic milliseconds */
  constructor(clock: () => number) {
    this.#clock = clock
    this.#beatAt = clock()
  }

  /** Whether this text is the newest claim of a key. What a former process wrote is not known. */
  isNewest(key: string, text: string): boolean {
    return this.#newest.get(key) === text
  }

  /** A claim, or a release, was written. */
  wrote(key: string, text: string, state: BlockClaim["state"]): void {
    this.#newest.set(key, text)
    if (state === "held") this.#sure.add(key)
    else this.#sure.delete(key)
  }

  /** The newest claim of a key stands in the store. */
  saw(key: string): void {
    this.#sure.add(key)
  }

  /** The block of a key is about to be given up: it is not known when that is heard. */
  givesUp(key: string): void {
    this.#sure.delete(key)
  }

  /** Whether the claim of a key was seen standing, and nothing made that doubtful since. */
  isSure(key: string): boolean {
    this.tick()
    return this.#sure.has(key)
  }

  /** Time goes by, and this host with it. To be called more often than once a minute. */
  tick(): void {
    const now = this.#clock()
    if (now - this.#beatAt >= STILL_MS) this.invalidate()
    this.#beatAt = now
  }

  /**
   * What was seen may be otherwise now: the store was put back from a snapshot, or could not be
   * reached for a time.
   */
  invalidate(): void {
    this.#sure.clear()
  }
}
