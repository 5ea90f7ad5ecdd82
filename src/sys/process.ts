/** This program as a process: its name, how to start it again, and children in other namespaces. */

import type { ChildProcess, SpawnOptions } from "node:child_process"
import { LariatError } from "../errors.ts"
import { libc } from "./ffi/libc.ts"
import { isDeno } from "./ffi/runtime.ts"
import { type Netns, withNetns } from "./netns/netns.ts"

/** Where `bun build --compile` mounts what is embedded in the binary. */
const EMBEDDED = "file:///$bunfs/"

/** True in the compiled binary, false when a runtime runs the sources. */
export const isCompiled: boolean = import.meta.url.startsWith(EMBEDDED)

/**
 * The name this program was called by: its own, that of a link to it, or of `exec -a`.
 * process.argv[0] would be "bun" for all of them in the compiled binary.
 */
export function programName(): string {
  return process.argv0.slice(process.argv0.lastIndexOf("/") + 1)
}

/**
 * Ends the process at once, without the runtime's own clean-up, which takes a millisecond. What was
 * not written yet is lost.
 */
export function exitNow(code: number): never {
  libc._exit(code)
  throw new LariatError("Cannot end the process: _exit(2) came back", { code: "internal" })
}

/** The command line that starts this program again, to be followed by its arguments. */
export function selfCommand(): string[] {
  if (isCompiled) return [process.execPath]
  const main = decodeURIComponent(new URL("../main.ts", import.meta.url).pathname)
  return isDeno ? [process.execPath, "run", "-A", main] : [process.execPath, main]
}

/** Starts a child where this process is; see {@link spawnIn}. */
export function spawnHere(command: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const [program = "", ...args] = command
  // Not an import: a CNI plugin call asks only for its name, and would wait for node streams.
  return process.getBuiltinModule("node:child_process").spawn(program, args, options)
}

/** What a program may print that is run to its end, bytes. */
const MAX_OUTPUT_BYTES = 65_536

/**
 * Runs a program to its end where this process is, without a shell and without its environment.
 *
 * @param path absolute
 * @param timeoutMs it is killed after that
 * @returns its standard output
 * @throws LariatError io where it cannot be started, fails or takes too long
 */
export function runProgram(
  path: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const { execFile } = process.getBuiltinModule("node:child_process")
  const options = {
    env: { LC_ALL: "C" },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: MAX_OUTPUT_BYTES,
  } as const
  return new Promise((resolve, reject) => {
    execFile(path, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const said = stderr.trim() || error.message
      const why =
        error.killed === true ? `it took more than ${timeoutMs} ms, or said too much` : said
      const what = `Cannot run ${path} ${args.join(" ")}: ${why}`
      reject(new LariatError(what, { code: "io", cause: error }))
    })
  })
}

/**
 * Starts a child whose network namespace is `netns` from its first instruction on.
 *
 * Both runtimes fork on the calling thread, and a child inherits the namespace of the thread that
 * forks; test/netns/sys_parity.ts watches that they go on doing so.
 *
 * @param options as of node:child_process; its events come at home, in the usual way
 * @throws LariatError usage without a command; SystemError when `netns` cannot be entered. A
 * command that is not there is an "error" event of the child
 */
export function spawnIn(
  netns: Netns,
  command: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  return withNetns(netns, () => spawnHere(command, options))
}
