/**
 * Deleting links without waiting for them.
 *
 * The kernel takes a link out of sight at once, about 1 ms, and says so (RTM_DELLINK); but the
 * caller's write(2) comes back only after an RCU grace period, 16 to 40 ms. So the write happens
 * on a thread of libc, and the notification is what counts. Grace periods overlap when several
 * writes are under way, and one message that deletes a group of links has one for all of them.
 */

import { LariatError } from "../errors.ts"
import { NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, RTM_DELLINK } from "../netlink/constants.ts"
import { NetlinkError, parseAck } from "../netlink/error.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { parseMessages } from "../netlink/message.ts"
import { changeLink, deleteLink, deleteLinkGroup } from "../netlink/route/link.ts"
import { peekLink } from "../netlink/route/link_codec.ts"
import type { NetlinkSocket, Outcome } from "../netlink/socket.ts"
import { ENOBUFS, ENODEV } from "../sys/ffi/errno.ts"
import { PARKED_GROUP } from "./host_link.ts"

/** A write(2) under way: the bytes written once it is over. Throws when it failed. */
export interface PendingWrite {
  poll(): number | undefined
}

/** What deletions need of the world. */
export interface RemovalPorts {
  /** A socket that hears of deleted links, from now on. */
  openNotes(): Pick<NetlinkSocket, "receive" | "close">
  /** A socket to send deletions by, one at a time. */
  openSender(): Pick<NetlinkSocket, "fd" | "receive" | "close">
  write(fd: number, bytes: Uint8Array): PendingWrite
  tryAll(batch: readonly MessageWriter[]): readonly Outcome[]
  /** Whether the link is still there. */
  exists(index: number): boolean
  /** Calls back after a moment, 1 ms or so. */
  later(callback: () => void): void
}

/**
 * Writes under way at most: with one deletion each 5 ms there are 4 to 8. When all are busy, those
 * that come are deleted as one group by the next that is free.
 */
const MAX_SENDERS = 8

interface Waiter {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

type Sender = ReturnType<RemovalPorts["openSender"]>

interface Job {
  readonly sender: Sender
  readonly write: PendingWrite
  readonly indexes: readonly number[]
  readonly operation: string
}

/** The deletions of one network namespace. */
export class Removals {
  readonly #ports: RemovalPorts
  readonly #waiting = new Map<number, Waiter>()
  /** Wanted and not yet sent. */
  #queue: number[] = []
  readonly #free: Sender[] = []
  #jobs: Job[] = []
  #notes: ReturnType<RemovalPorts["openNotes"]> | undefined
  #polling = false
  #closed = false

  constructor(ports: RemovalPorts) {
    this.#ports = ports
  }

  /**
   * Deletes a link. Those asked for in one turn of the event loop go together.
   *
   * @returns resolves when the link is gone, whoever deleted it
   * @throws NetlinkError when the kernel refuses
   */
  remove(index: number): Promise<void> {
    if (this.#closed) return Promise.reject(closing(index))
    const known = this.#waiting.get(index)
    if (known !== undefined) return known.promise
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.set(index, { promise, resolve, reject })
    this.#queue.push(index)
    this.#poll()
    return promise
  }

  /** Gives up what is still waiting. Deletions that were sent happen all the same. */
  close(): void {
    this.#closed = true
    for (const [index, { reject }] of this.#waiting) reject(closing(index))
    this.#waiting.clear()
    this.#queue = []
    this.#rest()
  }

  #poll(): void {
    if (this.#polling) return
    this.#polling = true
    queueMicrotask(() => this.#turn())
  }

  #turn(): void {
    try {
      // Before anything is sent, lest its notification be missed.
      if (!this.#closed) this.#notes ??= this.#ports.openNotes()
      this.#hear()
      this.#reap()
      this.#send()
    } catch (error) {
      this.#failAll(error)
    }
    if (this.#waiting.size > 0 || this.#jobs.length > 0) {
      this.#ports.later(() => this.#turn())
      return
    }
    this.#polling = false
    this.#rest()
  }

  /** Nothing keeps sockets that nobody reads: their buffers would fill up. */
  #rest(): void {
    this.#notes?.close()
    this.#notes = undefined
    if (!this.#closed) return
    for (const sender of this.#free.splice(0)) sender.close()
  }

  #hear(): void {
    try {
      for (;;) {
        const bytes = this.#notes?.receive()
        if (bytes === undefined) return
        for (const message of parseMessages(bytes)) {
          if (message.type !== RTM_DELLINK) continue
          const { index, family } = peekLink(message)
          // With family AF_BRIDGE the kernel says that a port left its bridge, no more.
          if (family === 0) this.#gone(index)
        }
      }
    } catch (error) {
      if (!(error instanceof NetlinkError && error.errno === ENOBUFS)) throw error
      for (const index of this.#waiting.keys()) {
        if (!this.#ports.exists(index)) this.#gone(index)
      }
    }
  }

  #reap(): void {
    this.#jobs = this.#jobs.filter((job) => {
      const error = outcomeOf(job)
      if (error === undefined) return true
      for (const index of job.indexes) {
        if (error === "done") this.#gone(index)
        else this.#fail(index, error)
      }
      this.#free.push(job.sender)
      return false
    })
  }

  #send(): void {
    if (this.#queue.length === 0) return
    const sender =
      this.#free.pop() ?? (this.#jobs.length < MAX_SENDERS ? this.#ports.openSender() : undefined)
    if (sender === undefined) return
    const indexes = this.#queue.length > 1 ? this.#park(this.#queue) : this.#queue
    this.#queue = []
    const [only] = indexes
    if (only === undefined) {
      this.#free.push(sender)
      return
    }
    const message = indexes.length === 1 ? deleteLink(only) : deleteLinkGroup(PARKED_GROUP)
    const bytes = message.finish(1, NLM_F_REQUEST | NLM_F_ACK)
    try {
      const write = this.#ports.write(sender.fd, bytes)
      this.#jobs.push({ sender, write, indexes, operation: message.operation })
    } catch (error) {
      sender.close()
      for (const index of indexes) this.#fail(index, error)
    }
  }

  /** Puts links into the group that is deleted. @returns those that are in it now */
  #park(indexes: readonly number[]): number[] {
    const batch = indexes.map((index) => changeLink(index, { group: PARKED_GROUP }))
    const parked: number[] = []
    this.#ports.tryAll(batch).forEach(({ error }, at) => {
      const index = indexes[at] ?? 0
      if (error === undefined) parked.push(index)
      else if (error.errno === ENODEV) this.#gone(index)
      else this.#fail(index, error)
    })
    return parked
  }

  #gone(index: number): void {
    this.#waiting.get(index)?.resolve()
    this.#waiting.delete(index)
  }

  #fail(index: number, error: unknown): void {
    this.#waiting.get(index)?.reject(error)
    this.#waiting.delete(index)
  }

  #failAll(error: unknown): void {
    for (const index of [...this.#waiting.keys()]) this.#fail(index, error)
    this.#queue = []
  }
}

/** Undefined while the write is under way; else "done" or why it failed. */
function outcomeOf({ write, sender, operation }: Job): "done" | unknown | undefined {
  try {
    if (write.poll() === undefined) return undefined
    const answer = sender.receive()
    if (answer === undefined) return "done"
    for (const message of parseMessages(answer)) {
      if (message.type !== NLMSG_ERROR) continue
      const { errno, extAck } = parseAck(message)
      // Somebody else was quicker, or the container took its end with it.
      if (errno !== 0 && errno !== ENODEV) return new NetlinkError(operation, errno, { extAck })
    }
    return "done"
  } catch (error) {
    return error
  }
}

function closing(index: number): LariatError {
  return new LariatError(`Cannot wait for link ${index} to go: the agent is stopping`, {
    code: "busy",
    hint: "The next start deletes what is left.",
  })
}
