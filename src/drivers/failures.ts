/** Failures of steps that do not rely on each other: each step is made, and all failures are told. */

import { LariatError, messageOf } from "../errors.ts"

/**
 * Makes every step, whether others fail or not.
 *
 * @returns what they did
 * @throws what failed, as one error
 */
export function attemptAll(steps: readonly (() => readonly string[] | undefined)[]): string[] {
  const did: string[] = []
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      did.push(...(step() ?? []))
    } catch (error) {
      failures.push(error)
    }
  }
  throwAll(failures)
  return did
}

/** Throws errors as one, where there are any: what the first says, and how many more there are. */
export function throwAll(errors: readonly unknown[]): void {
  const all = errors.flatMap(errorsOf)
  const [first, ...others] = all
  if (all.length === 0) return
  if (others.length === 0) throw first
  const { code = "kernel", hint } = first instanceof LariatError ? first : {}
  const message = `${messageOf(first)}; and ${others.length} more`
  throw new LariatError(message, { code, hint, cause: new AggregateError(all) })
}

/** Each of the errors that {@link throwAll} made one of. */
export function errorsOf(error: unknown): readonly unknown[] {
  const cause = error instanceof LariatError ? error.cause : undefined
  return cause instanceof AggregateError ? cause.errors : [error]
}
