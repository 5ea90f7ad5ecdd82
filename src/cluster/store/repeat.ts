/** Work that goes on for as long as a store is used, whatever fails. */

import { Backoff } from "../../backoff.ts"
import { LariatError } from "../../errors.ts"
import { type Dependencies, pause } from "./dependencies.ts"

/** The longest wait after the store refused it: asking more often would not help, ms. */
const REFUSED_MS = 10_000

/** What is done again and again. */
export interface Repeated {
  /**
   * Does it once.
   *
   * @param worked to be called when it did: the next trouble begins with a short wait
   * @returns how long to wait before the next time, ms
   */
  readonly work: (worked: () => void) => Promise<number>
  /** Hears what `work` threw. Default: nothing. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Does work until the signal aborts; after an error it waits, longer each time. */
export async function repeat(
  dependencies: Dependencies,
  signal: AbortSignal,
  { work, onError }: Repeated,
): Promise<void> {
  const backoff = new Backoff(dependencies.random)
  const refusals = new Backoff(dependencies.random, { firstMs: 1000, longestMs: REFUSED_MS })
  const worked = () => {
    backoff.reset()
    refusals.reset()
  }
  while (!signal.aborted) {
    let waitMs: number
    try {
      waitMs = await work(worked)
    } catch (error) {
      if (signal.aborted) return
      quietly(() => onError?.(error))
      const refused = error instanceof LariatError && error.code === "permission"
      waitMs = (refused ? refusals : backoff).next()
    }
    await pause(dependencies, waitMs, signal)
  }
}

/** Calls somebody's listener: what it does wrong must not end what it is told of. */
export function quietly(tell: () => void): void {
  try {
    tell()
  } catch {
    // It is not for the one who tells to mend it.
  }
}
