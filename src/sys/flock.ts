/** A file that one process at a time holds locked. */

import { constants } from "node:fs"
import { check, EAGAIN, SystemError } from "./ffi/errno.ts"
import { cString, errno, libc } from "./ffi/libc.ts"

// include/uapi/linux/fcntl.h: flock(2)
const LOCK_EX = 2
const LOCK_NB = 4
/** include/uapi/asm-generic/fcntl.h; Node has no name for it. */
const O_CLOEXEC = 0o2000000

/**
 * Locks a file, which is made with mode 0600 where it is not there; a symbolic link is not followed.
 * The lock goes with the process, however it ends.
 *
 * @returns what releases it; undefined where another process has it
 * @throws SystemError
 */
export function lockFile(path: string): (() => void) | undefined {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | O_CLOEXEC
  const fd = check(libc.open(cString(path), flags, 0o600), "open", `open ${path}`)
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return () => void libc.close(fd)
  const reason = errno()
  libc.close(fd)
  if (reason === EAGAIN) return undefined
  throw new SystemError(reason, "flock", `lock ${path}`)
}
