/** The agent's directories: its own and nobody else's, before anything in them is believed. */

import { lstatSync, mkdirSync, realpathSync, type Stats, statSync } from "node:fs"
import { join } from "node:path"
import { LariatError, messageOf } from "../../errors.ts"
import { lockFile } from "../../sys/flock.ts"
import { lockHolder } from "./database_lock.ts"

const LOCK = "agent.lock"
/** Write by the group or by all. */
const OTHERS_WRITE = 0o022

/** Who this process is to the files' owners; root may own them too. */
const ownUser = (): number => process.geteuid?.() ?? 0

/**
 * Makes a directory with mode 0700, or looks at the one that is there: whoever else may write to it,
 * or to what its symbolic link leads to, could have the agent change any file.
 *
 * @param what names it in errors: "state directory"
 * @throws LariatError `permission` where it is somebody else's or others may write to it; `io`
 */
export function ownDirectory(path: string, what: string): void {
  const name = path.replace(/(?<=.)\/+$/, "")
  const shown = (real: string) => (real === name ? name : `${name} (${real})`)
  try {
    mkdirSync(name, { recursive: true, mode: 0o700 })
    const link = lstatSync(name)
    const real = realpathSync(name)
    if (link.isSymbolicLink() && isForeign(link)) {
      throw refusal(
        `${what} ${shown(real)}`,
        `it is a symbolic link of user ${link.uid}`,
        `make the link yourself (chown -h ${ownUser()} ${name}), or name ${real}`,
      )
    }
    const stat = statSync(real)
    if (isForeign(stat)) {
      throw refusal(
        `${what} ${shown(real)}`,
        `it belongs to user ${stat.uid}`,
        `look at what is in it, then chown ${ownUser()} ${real}`,
      )
    }
    if ((stat.mode & OTHERS_WRITE) !== 0) {
      const octal = (stat.mode & 0o7777).toString(8)
      throw refusal(
        `${what} ${shown(real)}`,
        `others may write to it (mode ${octal})`,
        `look at what is in it, then chmod go-w ${real}`,
      )
    }
  } catch (error) {
    if (error instanceof LariatError) throw error
    throw new LariatError(`Cannot use the ${what} ${name}: ${messageOf(error)}`, {
      code: "io",
      hint: "see that it is a directory that can be made and written",
      cause: error,
    })
  }
}

/**
 * Refuses a file that is there and is not this user's own regular one: what is written to it, or its
 * mode, would be that of another file.
 *
 * @throws LariatError `permission`
 */
export function ownFile(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isFile()) throw refusal(path, "it is no regular file", "look at it and move it away")
  if (isForeign(stat)) {
    throw refusal(path, `it belongs to user ${stat.uid}`, "look at it and move it away")
  }
}

/**
 * Takes the run directory for this agent alone: a second one would take the first one's socket.
 *
 * @returns what gives it back
 * @throws LariatError `busy` where another agent has it; `permission`, `io`
 */
export function lockRunDirectory(path: string): () => void {
  const file = join(path, LOCK)
  ownFile(file)
  const release = lockFile(file)
  if (release !== undefined) return release
  const pid = lockHolder(file, "FLOCK")
  const who = pid === undefined ? "" : ` (process ${pid})`
  throw new LariatError(`Cannot use the run directory ${path}: another agent uses it${who}`, {
    code: "busy",
    hint: "Stop the other agent, or give this one a --run-dir of its own",
  })
}

function isForeign({ uid }: Stats): boolean {
  return uid !== 0 && uid !== ownUser()
}

function refusal(what: string, why: string, hint: string): LariatError {
  const thing = what.startsWith("/") ? what : `the ${what}`
  return new LariatError(`Cannot use ${thing}: ${why}`, { code: "permission", hint })
}
