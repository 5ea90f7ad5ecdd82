/** Builds dist/ when a source changed since the last build. */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { outputOf, runProgram } from "./process.mjs"

const STAMP = "dist/.sources.sha256"
const BUILD_TIMEOUT_MS = 10 * 60_000

/**
 * @param {string} root the checkout
 * @param {{ everything?: boolean }} [options] `everything` builds for every platform and in any
 *   case; else only this machine's program is asked for
 * @returns {Promise<boolean>} whether dist/ is there and current
 */
export async function ensureBuilt(root, options = {}) {
  const wanted = sourcesHash(root)
  const stamp = join(root, STAMP)
  const current =
    existsSync(join(root, "dist/lariat")) &&
    existsSync(stamp) &&
    readFileSync(stamp, "utf8") === wanted
  if (current && !options.everything) return true
  const bun = join(root, "node_modules/.bin/bun")
  const build = [bun, "run", "build.ts", "--stamp", wanted]
  if (!options.everything) build.push("--host")
  const result = await runProgram(build, { cwd: root, timeoutMs: BUILD_TIMEOUT_MS })
  if (result.timedOut) console.log("build: took too long and was ended")
  return result.status === 0
}

/** A hash over everything that the build reads, the commit it is named for included. */
function sourcesHash(root) {
  const hash = createHash("sha256")
  const files = ["build.ts", "package.json", "package-lock.json"]
  for (const folder of ["src", "asm"]) {
    for (const name of readdirSync(join(root, folder), { recursive: true }).map(String)) {
      if (/\.(ts|mjs|json|wasm|txt)$/.test(name) && !name.endsWith(".test.ts")) {
        files.push(`${folder}/${name}`)
      }
    }
  }
  for (const file of files.sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0")
  }
  hash.update(
    outputOf(["git", "-c", `safe.directory=${root}`, "rev-parse", "HEAD"], { cwd: root }) ?? "",
  )
  return hash.digest("hex")
}
