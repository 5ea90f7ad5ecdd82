/** Telling systemd how the service does: sd_notify(3), without libsystemd. */

import { libc } from "./ffi/libc.ts"
import { SOCK_CLOEXEC, SOCK_DGRAM } from "./net/socket.ts"
import { AF_UNIX, type SocketAddress, unixSocketAddress } from "./net/socket_address.ts"

/** A service manager that does not read must not stop the agent. */
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000

/** Where the service manager listens; undefined without one. */
export function notifyAddress(): SocketAddress | undefined {
  const path = process.env.NOTIFY_SOCKET
  // A path or an abstract name; systemd-in-a-VM's "vsock:" has no meaning for a service.
  if (path === undefined || !/^[/@]./.test(path)) return undefined
  try {
    return unixSocketAddress(path)
  } catch {
    return undefined
  }
}

/**
 * Sends a state such as "READY=1" or "STATUS=12 endpoints\nWATCHDOG=1" to the service manager.
 * Never throws: an agent does its work also when nobody wants to hear of it.
 *
 * @returns false when NOTIFY_SOCKET is not set or nobody took the message
 */
export function sdNotify(state: string): boolean {
  const address = notifyAddress()?.bytes
  if (address === undefined) return false
  try {
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    if (fd < 0) return false
    const bytes = new TextEncoder().encode(state)
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL
    const sent = libc.sendto(fd, bytes, bytes.length, flags, address, address.length)
    libc.close(fd)
    return sent === bytes.length
  } catch {
    return false
  }
}
