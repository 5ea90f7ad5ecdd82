/** What must be on the machine before anything runs: npm packages, and Debian packages for tests. */
import { createHash } from "node:crypto"
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { outputOf, runProgram } from "./process.mjs"

const APT_TIMEOUT_MS = 10 * 60_000
const NPM_TIMEOUT_MS = 10 * 60_000

/**
 * Installs the npm packages of the lock file when they are not there, or are those of another lock.
 *
 * `npm ci` is not used: it refuses a lock that lacks optional packages of other platforms, which is
 * what npm writes behind a mirror that does not carry them. `npm install --no-save` keeps to the
 * lock's versions and hashes all the same; that the lock speaks of this package.json is checked here.
 *
 * @param {string} root the checkout
 */
export async function ensurePackages(root) {
  const manifest = readFileSync(join(root, "package.json"), "utf8")
  const lock = readFileSync(join(root, "package-lock.json"), "utf8")
  requireSameDependencies(JSON.parse(manifest), JSON.parse(lock))
  const stamp = join(root, "node_modules/.cache/lariat/packages.sha256")
  const wanted = createHash("sha256").update(lock).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted && toolsRun(root)) return
  console.log("setup: npm packages of package-lock.json")
  const npm = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
  await must(npm, { cwd: root, timeoutMs: NPM_TIMEOUT_MS })
  placeRuntimes(root)
  if (!toolsRun(root)) throw new Error("node_modules/.bin/bun or deno does not run on this machine")
  mkdirSync(join(root, "node_modules/.cache/lariat"), { recursive: true })
  writeFileSync(stamp, wanted)
}

/**
 * Puts the binaries of the runtimes' platform packages where their commands expect them.
 *
 * Newer npm does not run install scripts unasked, and those of bun and deno do no more than this.
 */
function placeRuntimes(root) {
  const modules = join(root, "node_modules")
  const arm = process.arch === "arm64"
  const runtimes = [
    {
      name: "bun",
      from: `@oven/bun-linux-${arm ? "aarch64" : "x64"}/bin/bun`,
      to: "bun/bin/bun.exe",
    },
    { name: "deno", from: `@deno/linux-${arm ? "arm64" : "x64"}-glibc/deno`, to: "deno/deno" },
  ]
  for (const { name, from, to } of runtimes) {
    const command = join(modules, ".bin", name)
    const placed = join(modules, to)
    if (existsSync(join(modules, from))) {
      rmSync(placed, { force: true })
      linkSync(join(modules, from), placed)
    }
    // deno's command is a Node wrapper until its script ran, 40 ms slower at each start.
    rmSync(command, { force: true })
    symlinkSync(join("..", to), command)
  }
}

/** Whether both runtimes start. */
function toolsRun(root) {
  const tools = ["bun", "deno"].map((name) => join(root, "node_modules/.bin", name))
  return tools.every((tool) => existsSync(tool) && outputOf([tool, "--version"]) !== undefined)
}

function requireSameDependencies(manifest, lock) {
  const root = lock.packages?.[""] ?? {}
  for (const group of ["dependencies", "devDependencies"]) {
    const wanted = manifest[group] ?? {}
    const locked = root[group] ?? {}
    const names = new Set([...Object.keys(wanted), ...Object.keys(locked)])
    for (const name of names) {
      if (wanted[name] === locked[name]) continue
      throw new Error(
        `package-lock.json is not the lock of package.json (${name}): run npm install and commit both`,
      )
    }
  }
}

let aptUpdated = false

/**
 * Installs the Debian packages that are missing, where that is possible.
 *
 * @param {string[]} names
 * @returns {Promise<string | undefined>} why they cannot be had, or undefined when all are there
 */
export async function ensureDebian(names) {
  const missing = missingDebian(names)
  if (missing.length === 0) return undefined
  if (outputOf(["dpkg-query", "--version"]) === undefined) {
    return `needs ${missing.join(", ")}, and this is no Debian`
  }
  if (process.getuid?.() !== 0) return `needs ${missing.join(", ")}: run as root to install them`
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  console.log(`setup: apt-get install ${missing.join(" ")}`)
  try {
    if (!aptUpdated) {
      await must(["apt-get", "update", "-qq"], { timeoutMs: APT_TIMEOUT_MS, env })
      aptUpdated = true
    }
    const install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...missing]
    await must(install, { timeoutMs: APT_TIMEOUT_MS, env })
  } catch (error) {
    return `cannot install ${missing.join(", ")}: ${error.message}`
  }
  return undefined
}

/** Which of the Debian packages are not installed. */
export function missingDebian(names) {
  if (names.length === 0) return []
  // dpkg-query fails when one name is unknown to it, and still describes the others.
  const status = outputOf(["sh", "-c", 'dpkg-query -s "$@" 2>/dev/null; true', "sh", ...names])
  const installed = (status ?? "")
    .split("\n\n")
    .filter((paragraph) => /^Status: .* installed$/m.test(paragraph))
    .map((paragraph) => /^Package: (.*)$/m.exec(paragraph)?.[1])
  return names.filter((name) => !installed.includes(name))
}

async function must(argv, options) {
  const result = await runProgram(argv, options)
  if (result.status === 0) return
  const why = result.timedOut ? "took too long" : (result.error?.message ?? `exit ${result.status}`)
  throw new Error(`${argv.slice(0, 2).join(" ")} failed: ${why}`)
}
