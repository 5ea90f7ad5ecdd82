/** Starting programs with a bound on their time, and ending exactly the ones that were started. */
import { spawn, spawnSync } from "node:child_process"
import { createWriteStream } from "node:fs"

/** How long a program that ran out of time gets to end by itself. */
const GRACE_MS = 10_000

/**
 * Runs a program to its end, its output going to a log file or to this terminal.
 *
 * @param {string[]} argv program and arguments
 * @param {{ timeoutMs: number, env?: NodeJS.ProcessEnv, log?: string, cwd?: string }} options
 *   `log` takes standard output and error; without it they are inherited
 * @returns {Promise<{ status: number | null, timedOut: boolean, ms: number, error?: Error }>}
 */
export function runProgram(argv, options) {
  const started = performance.now()
  return new Promise((resolve) => {
    const log = options.log === undefined ? undefined : createWriteStream(options.log)
    // A group of its own, so that a program that hangs is ended with what it started.
    const child = spawn(argv[0], argv.slice(1), {
      cwd: options.cwd,
      env: options.env ?? process.env,
      detached: true,
      stdio: log === undefined ? ["ignore", "inherit", "inherit"] : ["ignore", "pipe", "pipe"],
    })
    let timedOut = false
    let killTimer
    const timer = setTimeout(() => {
      timedOut = true
      // namespace.sh takes its namespaces and cgroups down when it is asked to end.
      child.kill("SIGTERM")
      killTimer = setTimeout(() => endGroup(child.pid), GRACE_MS)
    }, options.timeoutMs)
    const onSignal = () => {
      child.kill("SIGTERM")
      killTimer = setTimeout(() => endGroup(child.pid), GRACE_MS)
      child.once("exit", () => process.exit(130))
    }
    process.on("SIGINT", onSignal)
    process.on("SIGTERM", onSignal)
    let settled = false
    const finish = (result) => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      clearTimeout(killTimer)
      process.off("SIGINT", onSignal)
      process.off("SIGTERM", onSignal)
      const done = () => resolve({ ...result, timedOut, ms: performance.now() - started })
      if (log === undefined) done()
      else log.end(done)
    }
    if (log !== undefined) {
      child.stdout.on("data", (chunk) => log.write(chunk))
      child.stderr.on("data", (chunk) => log.write(chunk))
    }
    child.on("error", (error) => finish({ status: null, error }))
    child.on("exit", (status) => {
      // A daemon that outlived the test keeps the pipes open: give the output a moment, then go on.
      if (log === undefined) finish({ status })
      else setTimeout(() => finish({ status }), 2000).unref()
    })
    child.on("close", (status) => finish({ status }))
  })
}

/** Kills a process group that {@link runProgram} made; gone already is fine. */
function endGroup(pid) {
  if (pid === undefined) return
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It ended by itself meanwhile.
  }
}

/** The trimmed standard output of a short program, or undefined when it fails. */
export function outputOf(argv, options = {}) {
  const result = spawnSync(argv[0], argv.slice(1), {
    encoding: "utf8",
    timeout: options.timeoutMs ?? 30_000,
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "ignore"],
  })
  return result.status === 0 ? result.stdout.trim() : undefined
}
