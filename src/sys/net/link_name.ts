/** Looking for a link without the lock that netlink takes: netdevice(7). */

import { check, ENODEV } from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"

/** include/uapi/linux/sockios.h */
const SIOCGIFNAME = 0x8910
/** struct ifreq (include/uapi/linux/if.h): name (16), and here an index (4). */
const IFREQ_BYTES = 40

const request = new Uint8Array(IFREQ_BYTES)
const view = new DataView(request.buffer)

/**
 * Whether a link has the index, as the namespace of any socket sees it. A question by netlink would
 * wait for whoever makes or deletes a link just then.
 *
 * @throws SystemError
 */
export function isLinkThere(fd: number, index: number): boolean {
  view.setInt32(16, index, true)
  const result = libc.ioctl(fd, SIOCGIFNAME, request)
  if (result < 0 && errno() === ENODEV) return false
  check(result, "ioctl", `look for link ${index}`)
  return true
}
