/** One UDP socket without an event loop: sends a datagram, waits for one. */

import { check, EAGAIN, EINTR } from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"
import { deadlineIn, POLLIN, waitFor } from "../ffi/poll.ts"
import { openSocket, SOCK_DGRAM, SOCK_NONBLOCK } from "./socket.ts"
import { ipSocketAddress } from "./socket_address.ts"

/** The largest datagram of IPv4 and IPv6 without jumbograms, bytes. */
const MAX_DATAGRAM = 65_535

export class Datagrams {
  #fd: number

  private constructor(fd: number) {
    this.#fd = fd
  }

  /**
   * Opens a socket in the current network namespace; it stays bound to that.
   *
   * @param address one of this host's; @param port 0 picks a free one
   * @throws SystemError; LariatError usage when it is no address
   */
  static open(address: string, port: number): Datagrams {
    const { family, bytes } = ipSocketAddress(address, port)
    const fd = openSocket(family, SOCK_DGRAM | SOCK_NONBLOCK)
    try {
      check(libc.bind(fd, bytes, bytes.length), "bind", `listen on ${address} port ${port}`)
      return new Datagrams(fd)
    } catch (error) {
      libc.close(fd)
      throw error
    }
  }

  /** @throws SystemError when this host cannot send it */
  send(datagram: Uint8Array, address: string, port: number): void {
    const { bytes } = ipSocketAddress(address, port)
    const sent = libc.sendto(this.#fd, datagram, datagram.length, 0, bytes, bytes.length)
    check(sent, "sendto", `send ${datagram.length} bytes to ${address} port ${port}`)
  }

  /** Waits for the next one; undefined when none comes in time. Blocks. @throws SystemError */
  receive(timeoutMs: number): Uint8Array | undefined {
    const deadline = deadlineIn(timeoutMs)
    const buffer = new Uint8Array(MAX_DATAGRAM)
    while (waitFor(this.#fd, POLLIN, deadline) !== 0) {
      const count = libc.recv(this.#fd, buffer, buffer.length, 0)
      if (count >= 0) return buffer.slice(0, count)
      // A datagram with a wrong checksum wakes, and is not there.
      if (errno() !== EAGAIN && errno() !== EINTR) check(count, "recv", "receive a datagram")
    }
    return undefined
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd)
    this.#fd = -1
  }
}
