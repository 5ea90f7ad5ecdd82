/** The two secrets on this host's disk: its own identity, and the cluster's pre-shared key. */

import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs"
import { LariatError, messageOf } from "../../errors.ts"
import { writeFileAtomic } from "../../sys/ffi/file.ts"

/** A key is some dozen bytes; more is another file. */
const MAX_SECRET_BYTES = 4096
const ONLY_OWNER = 0o600
/** Read, write or execute by anybody but the owner. */
const OTHERS = 0o077

/**
 * Reads a secret that only its owner may read.
 *
 * @param what names it in errors, such as "the pre-shared key"
 * @returns undefined when there is no such file
 * @throws LariatError `permission` when others may read or write it, or it is somebody else's; `io`
 */
export function readSecret(path: string, what: string): string | undefined {
  const refuse = (why: string, hint: string, code: "permission" | "io" = "permission") =>
    new LariatError(`Cannot use ${what} in ${path}: ${why}`, { code, hint })
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw refuse(messageOf(error), "check the path and who may read it", "io")
  }
  try {
    // The open file, not the name: the name may mean another file by now.
    const { mode, uid, size, isFile } = statOf(fd)
    if (!isFile) throw refuse("it is no regular file", "name a file", "io")
    if ((mode & OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(3, "0")
      throw refuse(`others may read or change it (mode ${octal})`, `chmod 600 ${path}`)
    }
    const own = process.geteuid?.() ?? uid
    if (uid !== own && uid !== 0) throw refuse(`it belongs to user ${uid}`, `chown root ${path}`)
    if (size > MAX_SECRET_BYTES) {
      throw refuse(
        `it has ${size} bytes, and ${MAX_SECRET_BYTES} are the most`,
        "name another",
        "io",
      )
    }
    return readFileSync(fd, "utf8")
  } finally {
    closeSync(fd)
  }
}

/**
 * Writes a secret so that nobody else can read it at any moment.
 *
 * @throws SystemError
 */
export function writeSecret(path: string, text: string): void {
  writeFileAtomic(path, new TextEncoder().encode(text), ONLY_OWNER)
}

function statOf(fd: number): { mode: number; uid: number; size: number; isFile: boolean } {
  const stat = fstatSync(fd)
  return { mode: stat.mode, uid: stat.uid, size: stat.size, isFile: stat.isFile() }
}
