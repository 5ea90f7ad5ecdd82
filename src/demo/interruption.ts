import { LariatError } from "../errors.ts"

/**
 * Does the work until it is done, or until somebody interrupts it (SIGINT, SIGTERM, SIGHUP): then
 * the caller can still clean up. The work is not waited for then.
 *
 * @throws LariatError `busy` when it was interrupted; what the work throws
 */
export async function untilInterrupted<T>(work: () => Promise<T>): Promise<T> {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
  const interrupted = Promise.withResolvers<never>()
  const interrupt = (signal: string) =>
    interrupted.reject(
      new LariatError(`Cannot go on: ${signal} came`, {
        code: "busy",
        hint: "everything that was made was taken away again",
      }),
    )
  for (const signal of signals) process.on(signal, interrupt)
  const working = work()
  // What it still comes to after an interruption is of no interest.
  working.catch(() => undefined)
  try {
    return await Promise.race([working, interrupted.promise])
  } finally {
    for (const signal of signals) process.off(signal, interrupt)
  }
}
