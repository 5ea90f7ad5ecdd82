/** The monitor's thread: hands notifications on as they are. */

import { EAGAIN, EINTR, ENOBUFS, SystemError } from "../sys/ffi/errno.ts"
import { errno, libc } from "../sys/ffi/libc.ts"
import { servePollThread } from "../sys/ffi/poll_thread.ts"
import { MSG_DONTWAIT, MSG_TRUNC } from "./constants.ts"

/** What the thread is told. */
export interface MonitorOrder {
  readonly netlinkFd: number
}

/** What the thread tells: datagrams in their order, or that some were lost. */
export type MonitorNews = readonly Uint8Array[] | "overrun"

/** struct sockaddr_nl: family (2), pad (2), port id (4), groups (4). */
const SOCKADDR_BYTES = 12
/**
 * How long notifications are gathered after the first, milliseconds. One change makes many: woken
 * for each, this thread would take the lock of the socket, and a processor, from the thread that
 * makes the change.
 */
const SETTLE_MS = 3
/** Datagrams handed over in one message: a burst is one wake-up of the main thread, not many. */
const MAX_BATCH = 64

servePollThread<MonitorOrder, MonitorNews>(({ netlinkFd }, tell) => {
  const drain = drainer(netlinkFd)
  return {
    fds: [netlinkFd],
    settleMs: SETTLE_MS,
    read() {
      const news = drain()
      if (news.length > 0) tell(news)
    },
  }
})

/** Reads everything that waits, or the loss of it. */
function drainer(fd: number): () => MonitorNews {
  let buffer = new Uint8Array(64 * 1024)
  const sender = new Uint8Array(SOCKADDR_BYTES)
  const senderView = new DataView(sender.buffer)
  /** A socklen_t, little endian on both machines we build for. */
  const senderLength = new Uint8Array(4)
  const flags = MSG_DONTWAIT | MSG_TRUNC
  return () => {
    const datagrams: Uint8Array[] = []
    while (datagrams.length < MAX_BATCH) {
      senderLength[0] = SOCKADDR_BYTES
      const length = libc.recvfrom(fd, buffer, buffer.length, flags, sender, senderLength)
      if (length < 0) {
        const reason = errno()
        if (reason === EINTR) continue
        if (reason === ENOBUFS) return "overrun"
        if (reason === EAGAIN) break
        throw new SystemError(reason, "recvfrom", "read notifications")
      }
      // A privileged process may speak to the groups; only the kernel has port id 0.
      if (senderView.getUint32(4, true) !== 0) continue
      if (length > buffer.length) {
        buffer = new Uint8Array(2 ** Math.ceil(Math.log2(length)))
        return "overrun"
      }
      datagrams.push(buffer.slice(0, length))
    }
    return datagrams
  }
}
