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

/** What is done for a network, each tried again by itself; and what it means that it failed. */
const MEANINGS = {
  open: "does not reach other hosts as it should",
  set: "does not reach other hosts as it should",
  remove: "cannot be taken away",
} as const

/** One thing that is done for a network. */
export type Step = keyof typeof MEANINGS

interface Entry {
  readonly network: string
  readonly step: Step
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

  /** The networks that a step failed for and does not hold yet. */
  failing(step: Step): string[] {
    const entries = [...this.#failing.values()].filter((entry) => entry.step === step)
    return entries.map(({ network }) => network)
  }

  isFailing(network: string, step: Step): boolean {
    return this.#failing.has(keyOf(network, step))
  }

  /**
   * Not all holds: after a wait `again` is called, and says how it went. What fails during the wait
   * makes it no longer.
   */
  failed(network: string, step: Step, error: unknown, again: () => void): void {
    if (this.#closed) return
    const key = keyOf(network, step)
    const { code, hint } = error instanceof LariatError ? error : {}
    const severity = code === "store-away" ? "warning" : "error"
    const what = `network ${network} ${MEANINGS[step]}: ${messageOf(error)}`
    this.#health.raise(key, { severity, what, hint })
    const entry: Entry = this.#failing.get(key) ?? {
      ...{ network, step, again },
      backoff: new Backoff(this.#random, { firstMs: FIRST_MS, longestMs: LONGEST_MS }),
      callOff: undefined,
    }
    this.#failing.set(key, entry)
    entry.again = again
    entry.callOff ??= this.#after(entry.backoff.next(), () => {
      entry.callOff = undefined
      entry.again()
    })
  }

  /** All holds, or nobody wants it any more. */
  held(network: string, step: Step): void {
    const key = keyOf(network, step)
    this.#failing.get(key)?.callOff?.()
    this.#failing.delete(key)
    this.#health.clear(key)
  }

  /** Nothing is tried any more. */
  close(): void {
    this.#closed = true
    for (const { callOff } of this.#failing.values()) callOff?.()
  }
}

/** Of the problem in `status`, too. */
function keyOf(network: string, step: Step): string {
  return `overlay/${step}/${network}`
}
