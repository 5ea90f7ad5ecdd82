/** CNI_ARGS: `KEY=value;KEY=value`, the extra arguments that a runtime hands over. */

import { CniError } from "./error.ts"
import { shown } from "./text.ts"

/** The pairs of CNI_ARGS that have no key or no `=`. */
export function malformedArgs(text: string): string[] {
  return text.split(";").filter((pair) => pair !== "" && pair.indexOf("=") < 1)
}

/**
 * Reads CNI_ARGS. A value may hold `=`; a key that comes twice keeps its last value; empty pairs,
 * as after a trailing semicolon, count for nothing. Keys that nobody knows are the caller's to
 * ignore: runtimes send many, and `IgnoreUnknown` is not always among them.
 *
 * @throws CniError environment (code 4) where a pair has no key or no `=`
 */
export function parseArgs(text: string): ReadonlyMap<string, string> {
  const malformed = malformedArgs(text)
  if (malformed.length > 0) {
    throw new CniError(`Cannot read CNI_ARGS: ${shown(malformed[0])} is not KEY=value`, {
      code: "environment",
      hint: "write CNI_ARGS as KEY=value;KEY=value",
    })
  }
  const pairs = text.split(";").filter((pair) => pair !== "")
  return new Map(
    pairs.map((pair) => {
      const equals = pair.indexOf("=")
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}
