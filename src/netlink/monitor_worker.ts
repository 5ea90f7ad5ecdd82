/**
 * The monitor's thread: waits in poll(2) for notifications or for the word to stop, and hands
 * notifications on as they are. It never returns to its event loop until told to stop.
 */

import { EAGAIN, EINTR, ENOBUFS } from "../sys/ffi/errno.ts"
import { errno, libc } from "../sys/ffi/libc.ts"
import { POLLIN } from "../sys/ffi/poll.ts"
import { serveWorker } from "../sys/ffi/worker.ts"
import { MSG_DONTWAIT, MSG_TRUNC } from "./constants.ts"
import type { MonitorOrder, MonitorReport } from "./monitor_protocol.ts"

/** struct pollfd: int fd, short events, short revents; two of them. */
const POLLFD_BYTES = 8
/** struct sockaddr_nl: family (2), pad (2), port id (4), groups (4). */
const SOCKADDR_BYTES = 12
const FOREVER = -1
/** How long notifications are gathered after the first, milliseconds. */
const SETTLE_MS = 3
/** Datagrams handed over in one message: a burst is one wake-up of the main thread, not many. */
const MAX_BATCH = 64

const scope = serveWorker<MonitorOrder, MonitorReport>(watch)

function watch({ netlinkFd, stopFd }: MonitorOrder): void {
  const fds = new Uint8Array(2 * POLLFD_BYTES)
  const view = new DataView(fds.buffer)
  view.setInt32(0, netlinkFd, true)
  view.setInt16(4, POLLIN, true)
  view.setInt32(POLLFD_BYTES, stopFd, true)
  view.setInt16(POLLFD_BYTES + 4, POLLIN, true)
  let buffer = new Uint8Array(64 * 1024)
  const sender = new Uint8Array(SOCKADDR_BYTES)
  const senderView = new DataView(sender.buffer)
  /** A socklen_t, little endian on both machines we build for. */
  const senderLength = new Uint8Array(4)
  scope.post({ kind: "ready" })
  for (;;) {
    if (libc.poll(fds, 2, FOREVER) < 0) {
      if (errno() === EINTR) continue
      scope.post({ kind: "failed", errno: errno() })
      return
    }
    if (view.getInt16(POLLFD_BYTES + 6, true) !== 0) {
      scope.post({ kind: "stopped" })
      return
    }
    // One change makes many notifications: woken for each, this thread would take the lock of the
    // socket, and a processor, from the thread that makes the change.
    libc.poll(null, 0, SETTLE_MS)
    const report = drain()
    if (report !== undefined) {
      scope.post(report)
      if (report.kind === "failed") return
    }
  }

  /** Everything that waits, or the loss of it. */
  function drain(): MonitorReport | undefined {
    const datagrams: Uint8Array[] = []
    while (datagrams.length < MAX_BATCH) {
      senderLength[0] = SOCKADDR_BYTES
      const length = libc.recvfrom(
        netlinkFd,
        buffer,
        buffer.length,
        MSG_DONTWAIT | MSG_TRUNC,
        sender,
        senderLength,
      )
      if (length < 0) {
        const reason = errno()
        if (reason === EINTR) continue
        if (reason === ENOBUFS) return { kind: "overrun" }
        if (reason !== EAGAIN) return { kind: "failed", errno: reason }
        break
      }
      // A privileged process may speak to the groups; only the kernel has port id 0.
      if (senderView.getUint32(4, true) !== 0) continue
      if (length > buffer.length) {
        buffer = new Uint8Array(2 ** Math.ceil(Math.log2(length)))
        return { kind: "overrun" }
      }
      datagrams.push(buffer.slice(0, length))
    }
    return datagrams.length === 0 ? undefined : { kind: "datagrams", datagrams }
  }
}
