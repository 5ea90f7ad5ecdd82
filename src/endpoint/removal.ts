/**
 * Deleting links without waiting for the kernel to be done with them.
 *
 * The kernel takes a link out of sight at once, about 1 ms, and that is what counts; but the
 * caller's write(2) comes back only after an RCU grace period, 16 to 40 ms. So the write happens on
 * another thread. Grace periods overlap when several writes are under way, and one message that
 * deletes a group of links has one for all of them.
 */

import { LariatError } from "../errors.ts"
import { NetlinkError } from "../netlink/error.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { changeLink, deleteLink, deleteLinkGroup } from "../netlink/route/link.ts"
import type { Outcome } from "../netlink/socket.ts"
import { ENODEV } from "../sys/ffi/errno.ts"
import { PARKED_GROUP } from "./host_link.ts"

/** Whether a deletion is over. Throws when it failed. */
export type Deletion = () => boolean

/** What deletions need of the world. */
export interface RemovalPorts {
  /** Sends the message by another thread. */
  start(message: MessageWriter): Deletion
  tryAll(batch: readonly MessageWriter[]): readonly Outcome[]
  /** Whether the link is still to be seen. */
  exists(index: number): boolean
  /** Calls back after a moment, 1 ms or so. */
  later(callback: () => void): void
}

/**
 * Messages under way at most: with one deletion each 5 ms there are 4 to 8. When all are busy, those
 * that come are deleted as one group by the next that is free.
 */
const MAX_UNDER_WAY = 8

/** The deletions of one network namespace. */
export class Removals {
  readonly #ports: RemovalPorts
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>()
  /** Wanted and not yet sent. */
  #queue: number[] = []
  readonly #underWay = new Map<Deletion, readonly number[]>()
  #isAwake = false
  #isClosed = false

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
    if (this.#isClosed) return Promise.reject(closing(index))
    const known = this.#waiting.get(index)
    if (known !== undefined) return known.promise
    const waiter = Promise.withResolvers<void>()
    this.#waiting.set(index, waiter)
    this.#queue.push(index)
    if (!this.#isAwake) queueMicrotask(() => this.#turn())
    this.#isAwake = true
    return waiter.promise
  }

  /** Gives up what is still waiting. Deletions that were sent happen all the same. */
  close(): void {
    this.#isClosed = true
    this.#queue = []
    for (const index of this.#waiting.keys()) this.#settle(index, closing(index))
  }

  #turn(): void {
    try {
      this.#reap()
      for (const index of this.#waiting.keys()) if (!this.#ports.exists(index)) this.#settle(index)
      if (this.#underWay.size < MAX_UNDER_WAY) {
        this.#send(this.#queue.splice(0).filter((index) => this.#waiting.has(index)))
      }
    } catch (error) {
      this.#queue = []
      for (const index of this.#waiting.keys()) this.#settle(index, error)
    }
    this.#isAwake = this.#waiting.size > 0 || this.#underWay.size > 0
    if (this.#isAwake) this.#ports.later(() => this.#turn())
  }

  #reap(): void {
    for (const [isOver, indexes] of this.#underWay) {
      let failure: unknown
      try {
        if (!isOver()) continue
      } catch (error) {
        failure = error
      }
      this.#underWay.delete(isOver)
      for (const index of indexes) this.#settle(index, failure)
    }
  }

  #send(wanted: readonly number[]): void {
    const indexes = wanted.length > 1 ? this.#park(wanted) : wanted
    const [only] = indexes
    if (only === undefined) return
    const message = indexes.length === 1 ? deleteLink(only) : deleteLinkGroup(PARKED_GROUP)
    this.#underWay.set(this.#ports.start(message), indexes)
  }

  /** Puts links into the group that is deleted. @returns those that are in it now */
  #park(indexes: readonly number[]): number[] {
    const batch = indexes.map((index) => changeLink(index, { group: PARKED_GROUP }))
    const outcomes = this.#ports.tryAll(batch)
    return indexes.filter((index, at) => {
      const error = outcomes[at]?.error
      if (error !== undefined) this.#settle(index, error)
      return error === undefined
    })
  }

  /** A link that somebody else deleted, or that its container took with it, is gone as well. */
  #settle(index: number, error?: unknown): void {
    const waiter = this.#waiting.get(index)
    this.#waiting.delete(index)
    const isGone = error instanceof NetlinkError && error.errno === ENODEV
    if (error === undefined || isGone) waiter?.resolve()
    else waiter?.reject(error)
  }
}

function closing(index: number): LariatError {
  return new LariatError(`Cannot wait for link ${index} to go: the agent is stopping`, {
    code: "busy",
    hint: "The next start deletes what is left.",
  })
}
