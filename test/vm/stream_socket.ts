/** Sockets of a stream, opened in the namespaces of its ends. */
import { check } from "../../src/sys/ffi/errno.ts"
import { libc } from "../../src/sys/ffi/libc.ts"
import { openSocket, SOCK_NONBLOCK, SOL_SOCKET, setIntOption } from "../../src/sys/net/socket.ts"
import { ipSocketAddress } from "../../src/sys/net/socket_address.ts"
import { openNetns, withNetns } from "../../src/sys/netns/netns.ts"

// include/uapi/asm-generic/socket.h
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33

/** A socket bound to an address in the namespace of this path; it never blocks. */
export function boundSocket(
  netns: string,
  type: number,
  address: string,
  port: number,
  options: { readonly bufferBytes?: number } = {},
): number {
  const { family, bytes } = ipSocketAddress(address, port)
  const handle = openNetns(netns)
  try {
    return withNetns(handle, () => {
      const fd = openSocket(family, type | SOCK_NONBLOCK)
      if (options.bufferBytes !== undefined) {
        setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, options.bufferBytes)
        setIntOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, options.bufferBytes)
      }
      check(libc.bind(fd, bytes, bytes.length), "bind", `bind to ${address} port ${port}`)
      return fd
    })
  } finally {
    handle.close()
  }
}

/** Waits for one of some descriptors, at most `timeoutMs`: struct pollfd is 8 bytes. */
export function pollAny(
  wanted: readonly { readonly fd: number; readonly events: number }[],
  timeoutMs: number,
): void {
  const bytes = new Uint8Array(wanted.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [index, { fd, events }] of wanted.entries()) {
    view.setInt32(index * 8, fd, true)
    view.setInt16(index * 8 + 4, events, true)
  }
  libc.poll(bytes, wanted.length, timeoutMs)
}
