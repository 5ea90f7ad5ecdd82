/** The monitor's thread: hands notifications on as they are. */

import { ENOBUFS } from "../sys/ffi/errno.ts"
import { servePollThread } from "../sys/ffi/poll_thread.ts"
import { NetlinkError } from "./error.ts"
import { NetlinkSocket } from "./socket.ts"

/** What the thread is told. */
export interface MonitorOrder {
  readonly netlinkFd: number
}

/** What the thread tells: datagrams in their order, or that some were lost. */
export type MonitorNews = readonly Uint8Array[] | "overrun"

/**
 * How long notifications are gathered after the first, milliseconds. One change makes many: woken
 * for each, this thread would take the lock of the socket, and a processor, from the thread that
 * makes the change.
 */
const SETTLE_MS = 3
/** Datagrams handed over in one message: a burst is one wake-up of the main thread, not many. */
const MAX_BATCH = 64

servePollThread<MonitorOrder, MonitorNews>(({ netlinkFd }, tell) => {
  const socket = NetlinkSocket.share(netlinkFd)
  return {
    fds: [netlinkFd],
    settleMs: SETTLE_MS,
    read() {
      const news = drain(socket)
      if (news.length > 0) tell(news)
    },
  }
})

/** Everything that waits, or the loss of it. */
function drain(socket: NetlinkSocket): MonitorNews {
  const datagrams: Uint8Array[] = []
  try {
    while (datagrams.length < MAX_BATCH) {
      const datagram = socket.receive()
      if (datagram === undefined) break
      datagrams.push(datagram)
    }
    return datagrams
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENOBUFS) return "overrun"
    throw error
  }
}
