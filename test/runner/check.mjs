/** `npm run check`: each checker counts as one test. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runProgram } from "./process.mjs"
import { showOutput } from "./run_suites.mjs"

const CHECK_TIMEOUT_MS = 3 * 60_000

/**
 * Runs every checker, also after one failed.
 *
 * @param {string} root the checkout
 * @returns {Promise<import("./run_suites.mjs").Outcome[]>}
 */
export async function check(root) {
  const tool = (name) => join(root, "node_modules/.bin", name)
  const checks = [
    ["format and lint", [tool("biome"), "check", "--error-on-warnings", "."]],
    ["types", [tool("tsc"), "-p", "."]],
    ["structure", [tool("bun"), "test", "./test/structure.test.ts", "./test/readme.test.ts"]],
  ]
  const outcomes = []
  const directory = mkdtempSync(join(tmpdir(), "lariat-check-"))
  const log = join(directory, "output")
  for (const [name, argv] of checks) {
    const result = await runProgram(argv, { cwd: root, timeoutMs: CHECK_TIMEOUT_MS, log })
    const good = result.status === 0
    if (!good) showOutput(name, log)
    outcomes.push({
      name,
      passed: good ? 1 : 0,
      failed: good ? 0 : 1,
      skipped: 0,
      seconds: result.ms / 1000,
      remark: result.timedOut ? "took too long" : undefined,
    })
  }
  rmSync(directory, { recursive: true, force: true })
  return outcomes
}
