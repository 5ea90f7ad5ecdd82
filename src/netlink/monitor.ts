/** Hearing of changes to links, addresses and routes as they happen. */

import { LariatError } from "../errors.ts"
import { check, SystemError } from "../sys/ffi/errno.ts"
import { libc } from "../sys/ffi/libc.ts"
import { type RunningWorker, startWorker } from "../sys/ffi/worker.ts"
import { NETLINK_ROUTE } from "./constants.ts"
import { type Message, parseMessages } from "./message.ts"
import type { MonitorOrder, MonitorReport } from "./monitor_protocol.ts"
import { NetlinkSocket } from "./socket.ts"

/** EFD_CLOEXEC of sys/eventfd.h. */
const EFD_CLOEXEC = 0o2000000

/** What to listen to. */
export interface MonitorOptions {
  /** Multicast groups, RTNLGRP_* of linux/rtnetlink.h. */
  readonly groups: readonly number[]
  /** NETLINK_* of linux/netlink.h. Default: NETLINK_ROUTE. */
  readonly protocol?: number
  /** Hears that the thread ended by itself; nothing is heard any more then. Default: nothing. */
  readonly onFailure?: (error: LariatError) => void
}

interface Listeners {
  readonly onMessages: (messages: readonly Message[]) => void
  readonly onOverrun: () => void
}

/** One run of the thread, from start to stop. */
interface Run {
  readonly socket: NetlinkSocket
  readonly stopFd: number
  readonly worker: RunningWorker<MonitorOrder>
  readonly stopped: PromiseWithResolvers<void>
}

/**
 * Listens to multicast groups on a thread of its own: the event loop cannot wait for a netlink
 * socket, and reading one by a timer costs a wake-up each time. Notifications arrive some
 * milliseconds after the change, those of one change together; when some were lost `onOverrun` says
 * so, and the listener has to look for itself.
 */
export class Monitor {
  #run: Run | undefined
  /** Reports are ignored from the call of `stop` on, also those that are under way. */
  #stopping = false

  /**
   * Starts listening in the current network namespace. What changes from now on is reported,
   * though the thread may not run yet.
   *
   * @param onMessages gets notifications in their order, a burst at a time
   * @returns resolves when the thread runs
   * @throws SystemError; LariatError internal when it runs already, or the thread does not start
   */
  start(
    options: MonitorOptions,
    onMessages: Listeners["onMessages"],
    onOverrun: Listeners["onOverrun"],
  ): Promise<void> {
    if (this.#run !== undefined) {
      throw new LariatError("Cannot start the monitor: it runs", { code: "internal" })
    }
    this.#stopping = false
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const failed = (error: LariatError) => {
      reject(error)
      if (!this.#stopping) options.onFailure?.(error)
      this.#release()
    }
    const onMessage = (report: MonitorReport) => {
      if (report.kind === "ready") resolve()
      else if (report.kind === "stopped") this.#run?.stopped.resolve()
      else if (report.kind === "failed") {
        failed(new SystemError(report.errno, "poll", "wait for notifications of the kernel"))
      } else if (this.#stopping) return
      else if (report.kind === "overrun") onOverrun()
      else deliver(report.datagrams, { onMessages, onOverrun })
    }
    this.#run = launch(options, { onMessage, onError: failed })
    return promise
  }

  /** Stops listening; may be called twice. Resolves when the thread has let go of its descriptors. */
  async stop(): Promise<void> {
    const run = this.#run
    if (run === undefined) return
    if (!this.#stopping) {
      this.#stopping = true
      const one = new Uint8Array(new BigUint64Array([1n]).buffer)
      check(libc.write(run.stopFd, one, one.length), "write", "stop the monitor's thread")
    }
    // Descriptors may be closed only after the thread has left poll(2): their numbers are given
    // anew, and it would read what is another's.
    await run.stopped.promise
    if (this.#run === run) this.#release()
  }

  #release(): void {
    const run = this.#run
    this.#run = undefined
    if (run === undefined) return
    run.stopped.resolve()
    run.worker.terminate()
    run.socket.close()
    libc.close(run.stopFd)
  }
}

function launch(
  { groups, protocol = NETLINK_ROUTE }: MonitorOptions,
  events: Parameters<typeof startWorker<MonitorOrder, MonitorReport>>[1],
): Run {
  const socket = NetlinkSocket.open(protocol, { groups })
  let stopFd = -1
  try {
    stopFd = check(libc.eventfd(0, EFD_CLOEXEC), "eventfd", "make an eventfd")
    const url = new URL("./monitor_worker.ts", import.meta.url)
    const worker = startWorker<MonitorOrder, MonitorReport>(url, events)
    worker.post({ netlinkFd: socket.fd, stopFd })
    return { socket, stopFd, worker, stopped: Promise.withResolvers<void>() }
  } catch (error) {
    socket.close()
    if (stopFd >= 0) libc.close(stopFd)
    throw error
  }
}

/** A datagram that cannot be read is as good as lost. */
function deliver(datagrams: readonly Uint8Array[], { onMessages, onOverrun }: Listeners): void {
  const messages: Message[] = []
  try {
    for (const datagram of datagrams) messages.push(...parseMessages(datagram))
  } catch (error) {
    if (!(error instanceof LariatError)) throw error
    onOverrun()
    return
  }
  onMessages(messages)
}
