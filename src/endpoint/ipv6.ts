/** Settings of IPv6 that only /proc/sys knows. All act on the current network namespace. */

import { LariatError } from "../errors.ts"
import { ENOENT, SystemError } from "../sys/ffi/errno.ts"
import { readFile, writeProc } from "../sys/ffi/file.ts"

const CONF = "/proc/sys/net/ipv6/conf"
const MAX_VALUE_BYTES = 64

/**
 * Makes an interface take IPv6 addresses.
 *
 * @throws LariatError kernel-unsupported where the kernel has no IPv6; SystemError
 */
export function enableIpv6(ifname: string): void {
  const disabled = settingPath(ifname, "disable_ipv6")
  try {
    // Docker and others disable it in namespaces whose network has no IPv6 subnet.
    if (readSetting(disabled) !== "0") writeProc(disabled, "0")
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
export function skipDuplicateDetection(ifname: string): void {
  writeProc(settingPath(ifname, "accept_dad"), "0")
}

/**
 * Makes an interface deaf to router advertisements: a neighbour on the bridge could make itself
 * the container's router with one (CVE-2020-10749), and soliciting them goes to every port.
 *
 * @throws SystemError
 */
export function ignoreRouterAdvertisements(ifname: string): void {
  try {
    writeProc(settingPath(ifname, "accept_ra"), "0")
  } catch (error) {
    // Without IPv6 in the kernel there is nothing to be deaf to.
    if (!(error instanceof SystemError && error.errno === ENOENT)) throw error
  }
}

/** Makes the kernel announce the interface's addresses when its MAC is set. @throws SystemError */
export function announceOnChange(ifname: string): void {
  writeProc(settingPath(ifname, "ndisc_notify"), "1")
}

/** The value of a setting of /proc/sys, without its line end. @throws SystemError */
export function readSetting(path: string): string {
  return new TextDecoder().decode(readFile(path, MAX_VALUE_BYTES)).trim()
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
