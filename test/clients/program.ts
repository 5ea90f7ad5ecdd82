/** Programs that the client tests run and the daemons they start: bounded, and ended by pid. */
import { type ChildProcess, spawn } from "node:child_process"
import { openSync } from "node:fs"

/** What a program left: its exit status (null when a signal ended it) and its output. */
export interface ProgramResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** How {@link run} and {@link attempt} start a program. */
export interface ProgramOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** The program is killed after that; default 30,000 ms. */
  readonly timeoutMs?: number
}

/** Runs a program to its end, whatever its exit status. */
export function attempt(argv: readonly string[], options: ProgramOptions = {}) {
  const [program = "", ...args] = argv
  const timeoutMs = options.timeoutMs ?? 30_000
  return new Promise<ProgramResult>((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    })
    const output = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text
    })
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs)
    child.on("error", reject)
    child.on("close", (status) => {
      clearTimeout(timer)
      resolve({ status, ...output })
    })
    // A program that ends without reading its input closes the pipe: no failure of ours.
    child.stdin.on("error", () => undefined)
    child.stdin.end(options.input ?? "")
  })
}

/** Runs a program to its end and returns its standard output; throws when it fails. */
export async function run(argv: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const result = await attempt(argv, options)
  if (result.status === 0) return result.stdout
  const said = `${result.stderr}${result.stdout}`.trim()
  throw new Error(`Cannot run ${argv.join(" ")}: exit ${result.status}: ${said}`)
}

/** Waits until `probe` gives something other than undefined, at most `timeoutMs`. */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 15_000,
): Promise<T> {
  const until = performance.now() + timeoutMs
  for (;;) {
    const found = await probe()
    if (found !== undefined) return found
    if (performance.now() > until) throw new Error(`Cannot wait longer for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A program that runs beside the tests. */
export interface Daemon {
  readonly pid: number
  /** Asks it to end, kills it when it does not within five seconds; returns when it is gone. */
  stop(): Promise<void>
}

/**
 * Starts a daemon and waits until it is ready.
 *
 * @param ready says whether it serves; asked again and again, for at most `timeoutMs`
 */
export async function startDaemon(
  argv: readonly string[],
  ready: () => Promise<boolean>,
  options: {
    log: string
    env?: Readonly<Record<string, string>>
    timeoutMs?: number
    /** What its descriptors from 3 on are to be. */
    descriptors?: readonly number[]
  },
): Promise<Daemon> {
  const [program = "", ...args] = argv
  const log = openSync(options.log, "a")
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", log, log, ...(options.descriptors ?? [])],
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const stop = () => stopChild(child, ended)
  try {
    await waitFor(
      `${program} to be ready (its log is ${options.log})`,
      async () => {
        if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`)
        return (await ready()) ? true : undefined
      },
      options.timeoutMs,
    )
  } catch (error) {
    await stop()
    const said = await attempt(["tail", "-n", "20", options.log])
    throw new Error(`Cannot start ${program}: ${said.stdout}`, { cause: error })
  }
  return { pid: child.pid ?? 0, stop }
}

async function stopChild(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill("SIGTERM")
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
  await ended
  clearTimeout(timer)
}
