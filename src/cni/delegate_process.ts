/** Another CNI plugin as a child process: found on CNI_PATH, bounded in time and output. */

import { type ChildProcess, spawn } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { join } from "node:path"
import { CniError } from "./error.ts"
import { shown } from "./text.ts"

/** What a delegate may print, bytes. */
const MAX_OUTPUT_BYTES = 1_048_576

/**
 * How long a delegate's output may stay open after it ended, milliseconds: a grandchild that holds
 * it must not hold us.
 */
const OUTPUT_GRACE_MS = 200

/** Attempts at a binary that is being written (ETXTBSY), and the pause between, as libcni has them. */
const BUSY_ATTEMPTS = 5
const BUSY_PAUSE_MS = 1000

/** What a delegate did. */
export interface ProcessEnd {
  /** Undefined when a signal ended it. */
  readonly exit: number | undefined
  readonly stdout: Uint8Array
  /** Why we ended it, when we did. */
  readonly killed: "time" | "output" | undefined
}

/**
 * The path of a plugin.
 *
 * @param type file name of the plugin, without directories
 * @param cniPath CNI_PATH: directories with colons between them
 * @throws CniError environment (code 4) without CNI_PATH, config-invalid (code 7) where the type is
 *   no file name, delegate-failed where no directory has it
 */
export function findPlugin(type: string, cniPath: string): string {
  if (type === "." || type === ".." || /[/\0]/.test(type)) {
    throw new CniError(`Cannot delegate to ipam.type ${shown(type)}: it is no file name`, {
      code: "config-invalid",
      hint: "name the plugin without its directory; CNI_PATH says where it is",
    })
  }
  // An empty entry would mean the current directory, which is whoever started the runtime's.
  const directories = cniPath.split(":").filter((directory) => directory !== "")
  if (directories.length === 0) {
    throw new CniError(`Cannot delegate to ${shown(type)}: CNI_PATH is missing`, {
      code: "environment",
      hint: "the container runtime must set CNI_PATH to the directories of CNI plugins",
    })
  }
  const path = directories.map((directory) => join(directory, type)).find(isProgram)
  if (path !== undefined) return path
  throw new CniError(
    `Cannot delegate to ${shown(type)}: no such program in ${directories.join(", ")}`,
    {
      code: "delegate-failed",
      hint: "install that plugin there, or set ipam.type to rancher-cni-ipam",
    },
  )
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/**
 * Runs a program with the text on its standard input and its standard error on ours.
 *
 * @throws CniError delegate-failed where it cannot be started
 */
export async function runProgram(
  path: string,
  env: Readonly<Record<string, string>>,
  stdin: Uint8Array,
  timeoutMs: number,
): Promise<ProcessEnd> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(path, env, stdin, timeoutMs)
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined
      if (code !== "ETXTBSY" || attempt === BUSY_ATTEMPTS) {
        throw new CniError(`Cannot run the delegated plugin ${path}: ${String(code ?? error)}`, {
          code: "delegate-failed",
          hint: "check that it is a program for this machine",
          cause: error,
        })
      }
      await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS))
    }
  }
}

function runOnce(
  path: string,
  env: Readonly<Record<string, string>>,
  stdin: Uint8Array,
  timeoutMs: number,
): Promise<ProcessEnd> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(path, [], { env, stdio: ["pipe", "pipe", "inherit"] })
    const chunks: Uint8Array[] = []
    let size = 0
    let killed: ProcessEnd["killed"]
    let grace: ReturnType<typeof setTimeout> | undefined
    const kill = (reason: "time" | "output"): void => {
      killed ??= reason
      child.kill("SIGKILL")
    }
    const timer = setTimeout(() => kill("time"), timeoutMs)
    const finish = (exit: number | null): void => {
      clearTimeout(timer)
      clearTimeout(grace)
      child.stdout?.destroy()
      resolve({ exit: exit ?? undefined, stdout: Buffer.concat(chunks), killed })
    }
    child.on("error", (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on("exit", (exit) => {
      grace = setTimeout(() => finish(exit), OUTPUT_GRACE_MS)
    })
    child.on("close", (exit) => finish(exit))
    child.stdout?.on("data", (chunk: Uint8Array) => {
      size += chunk.length
      if (size > MAX_OUTPUT_BYTES) kill("output")
      else chunks.push(chunk)
    })
    // A delegate may end without reading its input (EPIPE); what it said and its code count.
    child.stdin?.on("error", () => {})
    child.stdin?.end(stdin)
  })
}
