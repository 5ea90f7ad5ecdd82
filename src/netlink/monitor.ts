/** Hearing of the kernel's changes: multicast groups of rtnetlink, on a thread that waits. */

import { LariatError, messageOf } from "../errors.ts"
import { check, SystemError } from "../sys/errno.ts"
import { libc } from "../sys/libc.ts"
import { type RunningWorker, startWorker } from "../sys/worker.ts"
import { NETLINK_ROUTE } from "./constants.ts"
import { type Message, parseMessages } from "./message.ts"
import { NetlinkSocket } from "./socket.ts"

/** EFD_CLOEXEC of sys/eventfd.h. */
const EFD_CLOEXEC = 0o2000000

/** What the thread is told: descriptors, which threads of a process share. */
export interface MonitorOrder {
  readonly netlinkFd: number
  /** An eventfd; anything written to it stops the thread. */
  readonly stopFd: number
}

/** What the thread tells. */
export type MonitorReport =
  | { readonly kind: "ready" }
  | { readonly kind: "stopped" }
  | { readonly kind: "overrun" }
  | { readonly kind: "failed"; readonly errno: number }
  | { readonly kind: "datagrams"; readonly datagrams: readonly Uint8Array[] }

/** What to listen to. */
export interface MonitorOptions {
  /** RTNLGRP_* of linux/rtnetlink.h. */
  readonly groups: readonly number[]
  /** Hears that the thread ended by itself; nothing is heard any more then. Default: nothing. */
  readonly onFailure?: (error: LariatError) => void
}

/**
 * Listens to multicast groups. Notifications arrive about half a millisecond after the change; when
 * the kernel had to drop some, `onOverrun` says so, and the listener has to look for itself.
 */
export class Monitor {
  #worker: RunningWorker<MonitorOrder> | undefined
  #socket: NetlinkSocket | undefined
  #stopFd = -1
  #stopped: (() => void) | undefined

  /**
   * Starts listening in the current network namespace.
   *
   * @returns resolves when no change can be missed any more
   * @throws SystemError; LariatError internal when the thread does not start
   */
  start(
    options: MonitorOptions,
    onMessages: (messages: readonly Message[]) => void,
    onOverrun: () => void,
  ): Promise<void> {
    const socket = NetlinkSocket.open(NETLINK_ROUTE, { groups: options.groups, nonblocking: true })
    this.#socket = socket
    this.#stopFd = check(libc.eventfd(0, EFD_CLOEXEC), "eventfd", "make an eventfd")
    return new Promise((resolve, reject) => {
      const failed = (error: LariatError) => {
        this.#stopped?.()
        options.onFailure?.(error)
        reject(error)
      }
      const onMessage = (report: MonitorReport) => {
        if (report.kind === "ready") resolve()
        else if (report.kind === "stopped") this.#stopped?.()
        else if (report.kind === "overrun") onOverrun()
        else if (report.kind === "datagrams") deliver(report.datagrams, onMessages, onOverrun)
        else failed(new SystemError(report.errno, "poll", "wait for notifications of the kernel"))
      }
      const url = new URL("./monitor_worker.ts", import.meta.url)
      this.#worker = startWorker<MonitorOrder, MonitorReport>(url, { onMessage, onError: failed })
      this.#worker.post({ netlinkFd: socket.fd, stopFd: this.#stopFd })
    })
  }

  /** Stops listening; may be called twice. Resolves when the thread has let go of its descriptors. */
  async stop(): Promise<void> {
    const worker = this.#worker
    if (worker === undefined) return
    this.#worker = undefined
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve
    })
    const one = new Uint8Array(new BigUint64Array([1n]).buffer)
    check(libc.write(this.#stopFd, one, one.length), "write", "stop the monitor's thread")
    await stopped
    worker.terminate()
    this.#socket?.close()
    libc.close(this.#stopFd)
  }
}

/** A datagram that cannot be read is as good as lost. */
function deliver(
  datagrams: readonly Uint8Array[],
  onMessages: (messages: readonly Message[]) => void,
  onOverrun: () => void,
): void {
  const messages: Message[] = []
  try {
    for (const datagram of datagrams) messages.push(...parseMessages(datagram))
  } catch (error) {
    if (!(error instanceof LariatError)) {
      throw new LariatError(`Cannot read a notification: ${messageOf(error)}`, {
        code: "internal",
        cause: error,
      })
    }
    onOverrun()
    return
  }
  onMessages(messages)
}
