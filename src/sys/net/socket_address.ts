/** Socket addresses as the kernel reads them. */

import { LariatError } from "../../errors.ts"
import { cString, libc } from "../ffi/libc.ts"

// include/linux/socket.h
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_PACKET = 17

/** Bytes of sun_path with its terminating zero: include/uapi/linux/un.h */
const SUN_PATH_BYTES = 108

/** A family and a struct sockaddr of it. */
export interface SocketAddress {
  readonly family: number
  readonly bytes: Uint8Array
}

/**
 * struct sockaddr_in or sockaddr_in6 of an address written as text, without zone.
 *
 * @throws LariatError usage when it is no address
 */
export function ipSocketAddress(ip: string, port: number): SocketAddress {
  // Not familyOf of core: the CNI plugin loads this file, and must not wait for what core loads.
  const family = ip.includes(":") ? AF_INET6 : AF_INET
  const bytes = new Uint8Array(family === AF_INET6 ? 28 : 16)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family, true)
  view.setUint16(2, port, false)
  // sin_addr lies at 4; sin6_flowinfo lies there, and sin6_addr at 8.
  if (libc.inet_pton(family, cString(ip), bytes.subarray(family === AF_INET6 ? 8 : 4)) !== 1) {
    throw new LariatError(`Cannot use ${JSON.stringify(ip)}: it is no IP address`, {
      code: "usage",
    })
  }
  return { family, bytes }
}

/**
 * struct sockaddr_un of a path, or of an abstract name when `path` begins with "@".
 *
 * @throws LariatError usage when the path is empty or longer than the kernel allows (107 bytes)
 */
export function unixSocketAddress(path: string): SocketAddress {
  const text = cString(path).subarray(0, -1)
  if (text.length === 0 || text.length >= SUN_PATH_BYTES) {
    throw new LariatError(
      `Cannot use the socket path ${JSON.stringify(path)}: it has ${text.length} bytes, and the kernel takes 1 to ${SUN_PATH_BYTES - 1}`,
      { code: "usage", hint: "Use a shorter path, or a symbolic link with a short one." },
    )
  }
  const abstract = path.startsWith("@")
  // An abstract name is not terminated: a zero more would be another name.
  const bytes = new Uint8Array(2 + text.length + (abstract ? 0 : 1))
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true)
  bytes.set(text, 2)
  if (abstract) bytes[2] = 0
  return { family: AF_UNIX, bytes }
}
