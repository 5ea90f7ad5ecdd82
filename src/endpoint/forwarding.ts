/** Letting the host route packets between its interfaces. Acts on the current namespace. */

import { readdirSync } from "node:fs"
import type { Family } from "../core/address.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { writeProc } from "../sys/ffi/file.ts"
import { readSetting, settingPath } from "./ipv6.ts"

const IPV4_FORWARD = "/proc/sys/net/ipv4/ip_forward"
const IPV6_CONF = "/proc/sys/net/ipv6/conf"
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
 * @returns whether that was a change
 * @throws SystemError
 */
export function enableForwarding(family: Family): boolean {
  if (forwardingEnabled(family)) return false
  if (family === 4) writeProc(IPV4_FORWARD, "1")
  else {
    keepRouterAdvertisements()
    writeProc(settingPath("all", "forwarding"), "1")
  }
  return true
}

/**
 * A host that forwards IPv6 takes no more router advertisements, and drops the default route it
 * had from one. Interfaces that take them now shall go on.
 */
function keepRouterAdvertisements(): void {
  for (const ifname of readdirSync(IPV6_CONF)) {
    if (ifname === "all" || ifname === "default" || ifname === "lo") continue
    const path = settingPath(ifname, "accept_ra")
    try {
      if (readSetting(path) === "1") writeProc(path, ACCEPT_RA_ALWAYS)
    } catch (error) {
      // The interface went away between the listing and the look.
      if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
    }
  }
}
