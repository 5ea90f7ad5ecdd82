/** Settings of IPv6 that only /proc/sys knows, of interfaces of one network namespace. */

import { LariatError } from "../errors.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { readFile, writeProc } from "../sys/ffi/file.ts"
import { type Netns, openIn } from "../sys/netns/netns.ts"

const CONF = "/proc/sys/net/ipv6/conf"
const MAX_VALUE_BYTES = 64

/**
 * Makes an interface take IPv6 addresses.
 *
 * @throws LariatError kernel-unsupported where the kernel has no IPv6; SystemError
 */
export function enableIpv6(netns: Netns, ifname: string): void {
  const disabled = settingPath(ifname, "disable_ipv6")
  try {
    // Docker and others disable it in namespaces whose network has no IPv6 subnet.
    if (readSetting(disabled, netns) !== "0") write(netns, disabled, "0")
  } catch (error) {
    if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
    throw new LariatError(`Cannot give ${ifname} an IPv6 address: the kernel has no IPv6`, {
      code: "kernel-unsupported",
      hint: "Start the host without ipv6.disable=1, or take the IPv6 subnets out of the network.",
      cause: error,
    })
  }
}

/**
 * Makes an interface use its link-local address without looking for duplicates first, which takes
 * a second or two. To be called before it comes up.
 *
 * @throws SystemError
 */
export function skipDuplicateDetection(netns: Netns, ifname: string): void {
  write(netns, settingPath(ifname, "accept_dad"), "0")
}

/**
 * Makes an interface deaf to router advertisements: a neighbour on the bridge could make itself
 * the container's router with one (CVE-2020-10749), and soliciting them goes to every port.
 *
 * @throws SystemError
 */
export function ignoreRouterAdvertisements(netns: Netns, ifname: string): void {
  try {
    write(netns, settingPath(ifname, "accept_ra"), "0")
  } catch (error) {
    // Without IPv6 in the kernel there is nothing to be deaf to.
    if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
  }
}

/** Makes the kernel announce the interface's addresses when its MAC is set. @throws SystemError */
export function announceOnChange(netns: Netns, ifname: string): void {
  write(netns, settingPath(ifname, "ndisc_notify"), "1")
}

/**
 * The value of a setting of /proc/sys, without its line end.
 *
 * @param netns default: the current one
 * @throws SystemError
 */
export function readSetting(path: string, netns?: Netns): string {
  const bytes = readFile(path, MAX_VALUE_BYTES, netns && openerIn(netns))
  return new TextDecoder().decode(bytes).trim()
}

function write(netns: Netns, path: string, value: string): void {
  writeProc(path, value, openerIn(netns))
}

function openerIn(netns: Netns) {
  return (path: string, flags: number) => openIn(netns, path, flags)
}

/** @throws LariatError internal for a name that would lead elsewhere */
export function settingPath(ifname: string, setting: string): string {
  // The kernel allows no such name, so no interface has it; but a caller might ask for one.
  if (/[/\s]/.test(ifname) || ifname === "." || ifname === ".." || ifname === "") {
    throw new LariatError(`Cannot read settings of ${JSON.stringify(ifname)}: it is no name`, {
      code: "internal",
    })
  }
  return `${CONF}/${ifname}/${setting}`
}
