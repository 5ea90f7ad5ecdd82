/** What a store needs of the outside: the network, time and randomness. */

/** One HTTP request; `fetch` of the runtime, or one with certificates. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** Takes back a call that was to come later. */
export type Cancel = () => void

export interface Dependencies {
  readonly fetch: Fetch
  /** Milliseconds of a clock that nobody sets back and that counts sleep. */
  readonly now: () => number
  /** Calls once after so many milliseconds. */
  readonly after: (ms: number, call: () => void) => Cancel
  /** From 0 up to 1, as Math.random. */
  readonly random: () => number
}

/** Waits so long, or until the signal aborts; never rejects. */
export function pause(dependencies: Dependencies, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const end = () => {
      cancel()
      signal.removeEventListener("abort", end)
      resolve()
    }
    const cancel = dependencies.after(Math.max(0, ms), end)
    signal.addEventListener("abort", end, { once: true })
  })
}
