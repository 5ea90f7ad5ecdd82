import { Backoff } from "../../../backoff.ts"
import { LariatError, messageOf } from "../../../errors.ts"
import { after } from "../../../sys/timer.ts"
import type { Health } from "../../health.ts"

const FIRST_MS = 1000
const LONGEST_MS = 30_000

/** What {@link Retries} work with. */
export interface RetriesOptions {
  readonly health: Health
  /** From 0 up to 1. Default Math.random. */
  readonly random?: () => number
  /** Calls after a wait, milliseconds. @returns what calls that off. Default a timer. */
  readonly after?: (ms: number, call: () => void) => () => void
}

interface Entry {
  readonly backoff: Backoff
  again: () => void
  /** Undefined while it is tried. */
  callOff: (() => void) | undefined
}

/**
 * What failed for a network, tried again after waits that grow; until it holds it is a problem of
 * `status`. The one place that tries again.
 */
export class Retries {
  readonly #health: Health
  readonly #random: () => number
  readonly #after: (ms: number, call: () => void) => () => void
  readonly #failing = new Map<string, Entry>()
  #closed = false

  constructor({ health, random = Math.random, after: later = after }: RetriesOptions) {
    this.#health = health
    this.#random = random
    this.#after = later
  }

  /** The networks that something failed for and does not hold yet. */
  failing(): string[] {
    return [...this.#failing.keys()]
  }

  isFailing(network: string): boolean {
    return this.#failing.has(network)
  }

  /**
   * Not all holds: after a wait `again` is called, and says how it went. What fails during the wait
   * makes it no longer.
   */
  failed(network: string, error: unknown, again: () => void): void {
    if (this.#closed) return
    const { code, hint } = error instanceof LariatError ? error : {}
    const severity = code === "store-away" ? "warning" : "error"
    const what = `network ${network} does not reach other hosts as it should: ${messageOf(error)}`
    this.#health.raise(`overlay/${network}`, { severity, what, hint })
    const entry: Entry = this.#failing.get(network) ?? {
      backoff: new Backoff(this.#random, { firstMs: FIRST_MS, longestMs: LONGEST_MS }),
      again,
      callOff: undefined,
    }
    this.#failing.set(network, entry)
    entry.again = again
    entry.callOff ??= this.#after(entry.backoff.next(), () => {
      entry.callOff = undefined
      entry.again()
    })
  }

  /** All holds, or nobody wants it any more. */
  held(network: string): void {
    this.#failing.get(network)?.callOff?.()
    this.#failing.delete(network)
    this.#health.clear(`overlay/${network}`)
  }

  /** Nothing is tried any more. */
  close(): void {
    this.#closed = true
    for (const { callOff } of this.#failing.values()) callOff?.()
  }
}
