/** Hearing of changes to links, addresses and routes as they happen. */

import { LariatError } from "../errors.ts"
import { PollThread } from "../sys/ffi/poll_thread.ts"
import { NETLINK_ROUTE } from "./constants.ts"
import { type Message, parseMessages } from "./message.ts"
import type { MonitorNews, MonitorOrder } from "./monitor_worker.ts"
import { NetlinkSocket } from "./socket.ts"

/** What to listen to. */
export interface MonitorOptions {
  /** Multicast groups, RTNLGRP_* of linux/rtnetlink.h. */
  readonly groups: readonly number[]
  /** NETLINK_* of linux/netlink.h. Default: NETLINK_ROUTE. */
  readonly protocol?: number
  /** Hears that the thread ended by itself; nothing is heard any more then. Default: nothing. */
  readonly onFailure?: (error: LariatError) => void
}

/**
 * Listens to multicast groups on a thread of its own. Notifications arrive some milliseconds after
 * the change, those of one change together; when some were lost `onOverrun` says so, and the
 * listener has to look for itself.
 */
export class Monitor {
  #thread: PollThread<MonitorOrder, MonitorNews> | undefined

  /**
   * Starts listening in the current network namespace. What changes from now on is reported,
   * though the thread may not run yet.
   *
   * @param onMessages gets notifications in their order, a burst at a time
   * @returns resolves when the thread runs
   * @throws SystemError; LariatError internal when it runs already, or the thread does not start
   */
  start(
    { groups, protocol = NETLINK_ROUTE, onFailure = () => {} }: MonitorOptions,
    onMessages: (messages: readonly Message[]) => void,
    onOverrun: () => void,
  ): Promise<void> {
    if (this.#thread !== undefined) {
      throw new LariatError("Cannot start the monitor: it runs", { code: "internal" })
    }
    const socket = NetlinkSocket.open(protocol, { groups })
    const onNews = (news: MonitorNews) => {
      const messages = news === "overrun" ? undefined : messagesOf(news)
      if (messages === undefined) onOverrun()
      else onMessages(messages)
    }
    try {
      const url = new URL("./monitor_worker.ts", import.meta.url)
      this.#thread = new PollThread<MonitorOrder, MonitorNews>(
        url,
        { netlinkFd: socket.fd },
        { onNews, onFailure },
      )
    } catch (error) {
      socket.close()
      throw error
    }
    // Not before: a descriptor's number is given anew, and the thread would read what is another's.
    void this.#thread.ended.then(() => {
      socket.close()
      this.#thread = undefined
    })
    return this.#thread.ready
  }

  /** Stops listening; may be called twice. Resolves when the thread has let go of its descriptors. */
  async stop(): Promise<void> {
    await this.#thread?.stop()
  }
}

/** Undefined where one cannot be read: it is as good as lost. */
function messagesOf(datagrams: readonly Uint8Array[]): Message[] | undefined {
  try {
    return datagrams.flatMap(parseMessages)
  } catch (error) {
    if (!(error instanceof LariatError)) throw error
    return undefined
  }
}
