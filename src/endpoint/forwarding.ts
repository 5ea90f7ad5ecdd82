/** Letting the host route packets between its interfaces. Acts on the current namespace. */

import type { Family } from "../core/address.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { writeProc } from "../sys/ffi/file.ts"
import { readSetting, settingPath } from "./ipv6.ts"
import type { Kernel } from "./kernel.ts"
import { leadsOutside } from "./shield.ts"

const IPV4_FORWARD = "/proc/sys/net/ipv4/ip_forward"
/** accept_ra: take router advertisements also where packets are forwarded (ip-sysctl.rst). */
const ACCEPT_RA_ALWAYS = "2"

/** Whether the host forwards packets of the family. @throws SystemError */
export function forwardingEnabled(family: Family): boolean {
  const path = family === 4 ? IPV4_FORWARD : settingPath("all", "forwarding")
  return readSetting(path) === "1"
}

/**
 * Makes the host forward packets of the family.
 *
 * @param kernel of the current namespace
 * @returns whether that was a change
 * @throws SystemError; NetlinkError
 */
export function enableForwarding(family: Family, kernel: Kernel): boolean {
  if (forwardingEnabled(family)) return false
  if (family === 4) writeProc(IPV4_FORWARD, "1")
  else {
    keepRouterAdvertisements(kernel)
    writeProc(settingPath("all", "forwarding"), "1")
  }
  return true
}

/**
 * A host that forwards IPv6 takes no more router advertisements, and drops the default route it
 * had from one. Interfaces that take them now shall go on, but for those where containers alone
 * could send any.
 */
function keepRouterAdvertisements(kernel: Kernel): void {
  for (const { name, index, kind, master } of kernel.links()) {
    if (name === "lo" || master !== 0) continue
    if (kind === "bridge" && !leadsOutside(kernel, index)) continue
    const path = settingPath(name, "accept_ra")
    try {
      if (readSetting(path) === "1") writeProc(path, ACCEPT_RA_ALWAYS)
    } catch (error) {
      // The interface went away between the listing and the look.
      if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
    }
  }
}
