/**
 * Answering for addresses behind this host: containers believe their whole network to be on their
 * bridge, so the host answers ARP for what it reaches by another link. Acts on the current
 * namespace.
 */

import { LariatError } from "../errors.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { writeProc } from "../sys/ffi/file.ts"
import { readSetting } from "./ipv6.ts"

/**
 * What a bridge needs to answer (Documentation/networking/ip-sysctl.rst). Without the second the
 * kernel waits up to 0.8 s before it answers for another.
 */
const SETTINGS: readonly (readonly [path: string, value: string])[] = [
  ["conf/%/proxy_arp", "1"],
  ["neigh/%/proxy_delay", "0"],
]

/**
 * Makes a bridge answer ARP for every address that the host reaches by another link.
 *
 * @returns what was not so before, one word each
 * @throws LariatError bridge-invalid where there is no such link; SystemError
 */
export function answerForOthers(bridge: string): string[] {
  const changed: string[] = []
  for (const [pattern, value] of SETTINGS) {
    const path = `/proc/sys/net/ipv4/${pattern.replace("%", bridge)}`
    try {
      if (readSetting(path) === value) continue
      writeProc(path, value)
      changed.push(path.slice(path.lastIndexOf("/") + 1))
    } catch (error) {
      if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
      throw new LariatError(`Cannot make ${bridge} answer for other hosts: there is no such link`, {
        code: "bridge-invalid",
        cause: error,
      })
    }
  }
  return changed
}
