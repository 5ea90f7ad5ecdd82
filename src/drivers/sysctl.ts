/** Settings below /proc/sys/net, which belong to the network namespace of whoever looks. */

import { LariatError } from "../errors.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { readFile, writeProc } from "../sys/ffi/file.ts"
import { type Netns, withNetns } from "../sys/netns/netns.ts"

const MAX_VALUE_BYTES = 64

/**
 * A setting: its path below /proc/sys/net, and the value it is to have. An idle one is of what this
 * kernel may not have, and then needs no turning off.
 */
export type Setting = readonly [path: string, value: string, idle?: "idle"]

/**
 * Gives settings their values, where they have others.
 *
 * @returns what it changed: "rp_filter of lrv0 to 2"
 * @throws LariatError kernel-unsupported where the kernel has no such setting; SystemError
 */
export function ensureSettings(netns: Netns, settings: readonly Setting[]): string[] {
  return withNetns(netns, () => {
    const changed: string[] = []
    for (const [path, value, idle] of settings) {
      if (ensure(`/proc/sys/net/${path}`, value, idle !== undefined)) {
        const [setting, owner] = path.split("/").toReversed()
        changed.push(`set ${setting} of ${owner} to ${value}`)
      }
    }
    return changed
  })
}

function ensure(path: string, value: string, isIdle: boolean): boolean {
  try {
    if (new TextDecoder().decode(readFile(path, MAX_VALUE_BYTES)).trim() === value) return false
    writeProc(path, value)
    return true
  } catch (error) {
    if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
    if (isIdle) return false
    throw new LariatError(`Cannot set ${path}: this kernel has no such setting`, {
      code: "kernel-unsupported",
      hint: path.includes("/ipv6/")
        ? "Start the host without ipv6.disable=1, or take the IPv6 subnets out of the network."
        : undefined,
      cause: error,
    })
  }
}
