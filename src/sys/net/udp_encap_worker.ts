/**
 * The thread that reads UDP encapsulation sockets: waits in poll(2) for datagrams or for the word to
 * stop. The kernel has taken ESP and keepalives out by then; what is left is little, or an attack.
 */

import { EAGAIN, EBADF, EINTR } from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"
import { POLLIN } from "../ffi/poll.ts"
import { serveWorker } from "../ffi/worker.ts"
import { MessageBuffer, MSG_TRUNC } from "./message_header.ts"
import { localAddressOf } from "./packet_info.ts"
import type { RawDatagram, UdpEncapOrder, UdpEncapReport } from "./udp_encap_protocol.ts"

const MSG_DONTWAIT = 0x40
/** struct pollfd: int fd, short events, short revents. */
const POLLFD_BYTES = 8
const FOREVER = -1
/** include/uapi/asm-generic/poll.h: no open descriptor. */
const POLLNVAL = 0x20
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

const scope = serveWorker<UdpEncapOrder, UdpEncapReport>(watch)

function watch({ sockets, stopFd }: UdpEncapOrder): void {
  const fds = [stopFd, ...sockets.map(({ fd }) => fd)]
  const pollfds = new Uint8Array(new ArrayBuffer(fds.length * POLLFD_BYTES))
  const view = new DataView(pollfds.buffer)
  fds.forEach((fd, index) => {
    view.setInt32(index * POLLFD_BYTES, fd, true)
    view.setInt16(index * POLLFD_BYTES + 4, POLLIN, true)
  })
  const buffer = new MessageBuffer(MAX_DATAGRAM)
  scope.post({ kind: "ready" })
  for (;;) {
    if (libc.poll(pollfds, fds.length, FOREVER) < 0) {
      if (errno() === EINTR) continue
      scope.post({ kind: "failed", errno: errno() })
      return
    }
    if (view.getInt16(6, true) !== 0) {
      scope.post({ kind: "stopped" })
      return
    }
    if (sockets.some((_, index) => isClosed(index + 1))) {
      scope.post({ kind: "failed", errno: EBADF })
      return
    }
    libc.poll(null, 0, SETTLE_MS)
    const datagrams: RawDatagram[] = []
    // Taken in turn, so that a flood on one leaves the other heard.
    for (let looks = 0; looks < MAX_BATCH; looks++) {
      const left = sockets.filter((_, index) => receive(index, datagrams)).length
      if (left === 0) break
    }
    if (datagrams.length > 0) scope.post({ kind: "datagrams", datagrams })
    if (datagrams.length >= MAX_BATCH) libc.poll(null, 0, FLOOD_REST_MS)
  }

  function isClosed(index: number): boolean {
    return (view.getInt16(index * POLLFD_BYTES + 6, true) & POLLNVAL) !== 0
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
}
