/** The end of a transaction that failed. */

import { messageOf, runAll, TeardownError } from "../errors.ts"

/**
 * Undoes what was done, every step even when one fails, and throws.
 *
 * @param what names the transaction, "making the port lrt0abc"
 * @param error why it failed; thrown when the undoing worked
 * @throws the error; TeardownError of all when something could not be undone
 */
export function failAfterUndo(what: string, error: unknown, steps: readonly (() => void)[]): never {
  try {
    runAll(`undoing ${what}`, steps)
  } catch (undoError) {
    const inner = undoError instanceof TeardownError ? undoError.errors : [undoError]
    throw new TeardownError(`${what} (${messageOf(error)})`, [error, ...inner])
  }
  throw error
}
