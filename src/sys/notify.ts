/** Telling systemd how the service does: sd_notify(3), without libsystemd. */

import { libc } from "./ffi/libc.ts"
import { encodeControl, MessageBuffer } from "./net/message_header.ts"
import { SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from "./net/socket.ts"
import { AF_UNIX, type SocketAddress, unixSocketAddress } from "./net/socket_address.ts"

/** A service manager that does not read must not stop the agent. */
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
/** include/linux/socket.h */
const SCM_RIGHTS = 1

/** Where the service manager listens; undefined without one. */
function notifyAddress(): SocketAddress | undefined {
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
 * Sends a state such as "READY=1" or "STATUS=12 endpoints\nWATCHDOG=1" to the service manager: an
 * agent does its work also when nobody wants to hear of it.
 *
 * @param descriptor the service manager gets a duplicate of it; default none
 * @returns false when NOTIFY_SOCKET is not set or nobody took the message
 */
export function sdNotify(state: string, descriptor?: number): boolean {
  const to = notifyAddress()
  if (to === undefined) return false
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return false
  try {
    const bytes = new TextEncoder().encode(state)
    const rights = descriptor === undefined ? {} : { control: rightsOf(descriptor) }
    const options = { to, flags: MSG_DONTWAIT | MSG_NOSIGNAL, ...rights }
    return new MessageBuffer(bytes.length).send(fd, bytes, options) === bytes.length
  } finally {
    libc.close(fd)
  }
}

function rightsOf(descriptor: number): Uint8Array {
  const data = new Uint8Array(Int32Array.of(descriptor).buffer)
  return encodeControl([{ level: SOL_SOCKET, type: SCM_RIGHTS, data }])
}
