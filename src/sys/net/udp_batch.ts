/** Datagrams of one turn of the event loop, sent by one system call. */

import { EAGAIN, ENOBUFS } from "../ffi/errno.ts"
import { addressOf, errno, libc } from "../ffi/libc.ts"
import { AF_INET6, ipSocketAddress } from "./socket_address.ts"
import { udpSocketAt } from "./udp_descriptor.ts"

/**
 * How many go at once. A reader that waits is woken once for all of them; with more it begins to
 * wait for them.
 */
const MOST = 16
/** What a datagram may have: an Ethernet packet's worth. */
const SLOT_BYTES = 1536
/** Addresses that are kept as the kernel reads them. */
const MAX_ADDRESSES = 1024

/**
 * struct mmsghdr (include/linux/socket.h, LP64): a struct msghdr, whose offsets message_header.ts
 * has too, the count of bytes sent, and padding.
 */
const HEADER_BYTES = 64
const NAME = 0
const NAME_LENGTH = 8
const IOV = 16
const IOV_COUNT = 24
/** struct iovec: address and size_t. */
const IOVEC_BYTES = 16
const IOVEC_LENGTH = 8
/** struct sockaddr_in6, the longer one. */
const NAME_BYTES = 28
/** Of a struct sockaddr, of either family. */
const NAME_PORT = 2

// include/linux/socket.h
const MSG_DONTWAIT = 0x40

/**
 * Gathers the datagrams that one socket is to send until the event loop has gone round. Most of
 * what an answer costs a server is the way through the kernel and waking who waits for it: with
 * several at once, both are paid once.
 */
export class UdpBatch {
  readonly #fd: number
  readonly #nameBytes: number
  // Memory that structures point into must not be moved: each has a buffer of its own.
  readonly #slots = memory(MOST * SLOT_BYTES)
  readonly #names = memory(MOST * NAME_BYTES)
  readonly #iovecs = new DataView(memory(MOST * IOVEC_BYTES).buffer)
  readonly #headers = memory(MOST * HEADER_BYTES)
  readonly #addresses = new Map<string, Uint8Array>()
  #count = 0
  #isScheduled = false
  #isClosed = false

  private constructor(fd: number, nameBytes: number) {
    this.#fd = fd
    this.#nameBytes = nameBytes
    const slots = addressOf(this.#slots)
    const names = addressOf(this.#names)
    const iovecs = addressOf(new Uint8Array(this.#iovecs.buffer))
    const headers = new DataView(this.#headers.buffer)
    for (let at = 0; at < MOST; at++) {
      this.#iovecs.setBigUint64(at * IOVEC_BYTES, BigInt(slots + at * SLOT_BYTES), true)
      const header = at * HEADER_BYTES
      headers.setBigUint64(header + NAME, BigInt(names + at * NAME_BYTES), true)
      headers.setUint32(header + NAME_LENGTH, nameBytes, true)
      headers.setBigUint64(header + IOV, BigInt(iovecs + at * IOVEC_BYTES), true)
      headers.setBigUint64(header + IOV_COUNT, 1n, true)
    }
  }

  /**
   * For the socket of this process that is bound to an address and port; undefined where there is
   * none.
   */
  static for(hostname: string, port: number): UdpBatch | undefined {
    const fd = udpSocketAt(hostname, port)
    if (fd === undefined) return undefined
    const { family, bytes } = ipSocketAddress(hostname, port)
    return new UdpBatch(fd, family === AF_INET6 ? NAME_BYTES : bytes.length)
  }

  /**
   * Adds a datagram, of which it makes a copy.
   *
   * @returns false where it is to be sent in another way: it is long, or its address has a zone
   */
  add(bytes: Uint8Array, port: number, address: string): boolean {
    if (this.#isClosed) return true
    const name = this.#addresses.get(address) ?? this.#learn(address)
    if (name === undefined || bytes.length > SLOT_BYTES) return false
    const at = this.#count++
    this.#slots.set(bytes, at * SLOT_BYTES)
    this.#iovecs.setUint32(at * IOVEC_BYTES + IOVEC_LENGTH, bytes.length, true)
    const start = at * NAME_BYTES
    this.#names.set(name, start)
    this.#names[start + NAME_PORT] = port >> 8
    this.#names[start + NAME_PORT + 1] = port
    if (this.#count === MOST) this.flush()
    else if (!this.#isScheduled) {
      this.#isScheduled = true
      setImmediate(() => {
        this.#isScheduled = false
        this.flush()
      })
    }
    return true
  }

  /** Sends what was added. What the kernel has no room for is lost, as datagrams may be. */
  flush(): void {
    const count = this.#count
    this.#count = 0
    let isSecondTry = false
    for (let at = 0; at < count; ) {
      const headers = at === 0 ? this.#headers : this.#headers.subarray(at * HEADER_BYTES)
      const sent = libc.sendmmsg(this.#fd, headers, count - at, MSG_DONTWAIT)
      if (sent < 0 && (errno() === EAGAIN || errno() === ENOBUFS)) return
      // An error may be what the network said of an earlier one; if it is this one's, the others
      // are to be sent all the same.
      at += sent > 0 ? sent : Number(isSecondTry)
      isSecondTry = sent <= 0 && !isSecondTry
    }
  }

  /** Sends what was added, and nothing more: the descriptor may be another's from now on. */
  close(): void {
    this.flush()
    this.#isClosed = true
  }

  /** struct sockaddr without the port. */
  #learn(address: string): Uint8Array | undefined {
    if (address.includes("%")) return undefined
    const { bytes } = ipSocketAddress(address, 0)
    if (bytes.length !== this.#nameBytes) return undefined
    if (this.#addresses.size >= MAX_ADDRESSES) this.#addresses.clear()
    this.#addresses.set(address, bytes)
    return bytes
  }
}

function memory(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(bytes))
}
