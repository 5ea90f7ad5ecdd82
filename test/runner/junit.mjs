/** Reads the sums that `bun test --reporter=junit` writes into its report's root element. */

/**
 * @param {string} xml
 * @returns {{ passed: number, failed: number, skipped: number } | undefined} undefined when the text
 *   is no such report
 */
export function sumsOf(xml) {
  const root = /<testsuites\b[^>]*>/.exec(xml)?.[0]
  if (root === undefined) return undefined
  const number = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? "NaN")
  const tests = number("tests")
  const failed = number("failures")
  const skipped = number("skipped")
  if (![tests, failed, skipped].every(Number.isInteger)) return undefined
  return { passed: tests - failed - skipped, failed, skipped }
}
