/**
 * The thread that reads UDP encapsulation sockets. The kernel has taken ESP and keepalives out by
 * then; what is left is little, or an attack.
 */

import { EAGAIN } from "../ffi/errno.ts"
import { libc } from "../ffi/libc.ts"
import { servePollThread } from "../ffi/poll_thread.ts"
import { MessageBuffer, MSG_TRUNC } from "./message_header.ts"
import { localAddressOf } from "./packet_info.ts"

/** What the thread is told: descriptors, which threads of a process share. */
export interface UdpEncapOrder {
  readonly sockets: readonly { readonly fd: number; readonly family: 4 | 6 }[]
}

/** One datagram without its marker. */
export interface RawDatagram {
  /** Position of its socket in the order. */
  readonly socket: number
  readonly payload: Uint8Array
  /** struct sockaddr_in or sockaddr_in6 of the sender. */
  readonly sender: Uint8Array
  /** The own address that it came to; undefined where the kernel did not say. */
  readonly local: Uint8Array | undefined
}

const MSG_DONTWAIT = 0x40
/** Non-ESP marker: RFC 3948 §2.2. */
const MARKER_BYTES = 4
/** No message of ours is longer; longer ones are nobody's we know. */
const MAX_DATAGRAM = 1024
/** Datagrams handed over in one message. */
const MAX_BATCH = 64
/** How long more are gathered after the first, ms. */
const SETTLE_MS = 2
/** The rest after a full batch, ms: a flood gets 3,000 datagrams a second looked at, not more. */
const FLOOD_REST_MS = 20

servePollThread<UdpEncapOrder, readonly RawDatagram[]>(({ sockets }, tell) => {
  const buffer = new MessageBuffer(MAX_DATAGRAM)
  return {
    fds: sockets.map(({ fd }) => fd),
    settleMs: SETTLE_MS,
    read() {
      const datagrams: RawDatagram[] = []
      // Taken in turn, so that a flood on one leaves the other heard.
      for (let looks = 0; looks < MAX_BATCH; looks++) {
        const left = sockets.filter((_, index) => receive(index, datagrams)).length
        if (left === 0) break
      }
      if (datagrams.length > 0) tell(datagrams)
      if (datagrams.length >= MAX_BATCH) libc.poll(null, 0, FLOOD_REST_MS)
    },
  }

  /** Takes one datagram; false when none waits. Errors of the path (ICMP) are gone once read. */
  function receive(index: number, into: RawDatagram[]): boolean {
    const socket = sockets[index]
    if (socket === undefined || into.length >= MAX_BATCH) return false
    const message = buffer.receive(socket.fd, MSG_DONTWAIT)
    if (typeof message === "number") return message !== EAGAIN
    const { data, flags } = message
    const marked =
      data.length > MARKER_BYTES && data.subarray(0, MARKER_BYTES).every((b) => b === 0)
    if (!marked || (flags & MSG_TRUNC) !== 0) return true
    into.push({
      socket: index,
      payload: data.slice(MARKER_BYTES),
      sender: message.name.slice(),
      local: localAddressOf(socket.family, message.control),
    })
    return true
  }
})
