/** Packets as tcpdump sees them. */
import { spawn } from "node:child_process"
import { waitFor } from "../clients/program.ts"

/** Where and what {@link capture} listens for. */
export interface CaptureOptions {
  /** Namespace by name; default the host. */
  readonly netns?: string
  readonly device: string
  /** A filter in tcpdump's language. */
  readonly filter: string
}

/**
 * Captures while `action` runs, and on until `done` says that enough was seen.
 *
 * @param done looks at the lines so far
 * @returns tcpdump's lines with link-level headers; throws when `done` never holds
 */
export async function capture(
  options: CaptureOptions,
  action: () => Promise<unknown>,
  done: (lines: readonly string[]) => boolean,
): Promise<readonly string[]> {
  const { netns, device, filter } = options
  const enter = netns === undefined ? [] : ["nsenter", `--net=/run/netns/${netns}`]
  const tcpdump = ["tcpdump", "-Z", "root", "-l", "-n", "-e", "--immediate-mode", "-i", device]
  const [program = "", ...args] = [...enter, ...tcpdump, ...filter.split(" ")]
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] })
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text
  })
  const lines = () => out.split("\n").filter((line) => line !== "")
  try {
    await waitFor(`tcpdump on ${device}`, () => {
      if (child.exitCode !== null) throw new Error(`tcpdump ended: ${err}`)
      return err.includes("listening on") ? true : undefined
    })
    await action()
    await waitFor(`packets on ${device}`, () => (done(lines()) ? true : undefined), 5000).catch(
      (error) => {
        throw new Error(`${filter} on ${device} gave only:\n${out}`, { cause: error })
      },
    )
    return lines()
  } finally {
    child.kill("SIGTERM")
    await ended
  }
}
