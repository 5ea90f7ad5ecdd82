import { readdirSync } from "node:fs"
import { libc } from "../ffi/libc.ts"
import { SOCK_DGRAM, SOL_SOCKET } from "./socket.ts"
import { AF_INET6, ipSocketAddress } from "./socket_address.ts"

// include/uapi/asm-generic/socket.h
const SO_TYPE = 3

/**
 * The descriptor of the UDP socket of this process that is bound to an address and port: neither
 * runtime tells it. Undefined where there is none.
 */
export function udpSocketAt(hostname: string, port: number): number | undefined {
  const { family, bytes: wanted } = ipSocketAddress(hostname, port)
  const compared = family === AF_INET6 ? 24 : 8
  const bytes = new Uint8Array(28)
  const length = new Uint8Array(4)
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name)
    length[0] = bytes.length
    if (libc.getsockname(fd, bytes, length) !== 0) continue
    if (!wanted.subarray(0, compared).every((byte, at) => byte === bytes[at])) continue
    const type = new Uint8Array(4)
    length[0] = type.length
    if (libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, type, length) !== 0) continue
    if (type[0] === SOCK_DGRAM) return fd
  }
  return undefined
}
