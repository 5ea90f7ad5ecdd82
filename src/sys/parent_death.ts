/**
 * Children of this program that end with it, however it ends: prctl(2) PR_SET_PDEATHSIG. A signal
 * handler would not do, since SIGKILL leaves no time for one.
 */

import { check } from "./ffi/errno.ts"
import { libc } from "./ffi/libc.ts"

/** include/uapi/linux/prctl.h */
const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

/** Pid of the process to end with. For this program's own use: it is in no documentation. */
const VARIABLE = "LARIAT_PARENT"

/**
 * What a child of this program needs in its environment to end with this process. It must be
 * started from a thread that lives as long: that thread's end is what the kernel goes by.
 */
export function boundToParent(): Readonly<Record<string, string>> {
  return { [VARIABLE]: String(libc.getpid()) }
}

/**
 * Does what {@link boundToParent} asked this process for, if anything; children do not inherit it.
 *
 * @returns false when the parent is gone already: nothing should be begun any more
 * @throws SystemError
 */
export function bindToParent(env: Record<string, string | undefined> = process.env): boolean {
  const parent = env[VARIABLE]
  if (parent === undefined) return true
  delete env[VARIABLE]
  check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl", "end with the parent")
  // One that ended before the call sends no signal any more: somebody else is the parent by now.
  return libc.getppid() === Number(parent)
}
