/** When a host acknowledges what it has done with the keys of all others. */

import type { Acknowledgement } from "./acknowledgement.ts"
import type { StoreView } from "./store_view.ts"

/** What an acknowledgement says beside how far the store was heard. */
export interface Acknowledged {
  /** The newest own generation. */
  readonly generation: number
  /** Hosts whose announcement was not taken, sorted. */
  readonly refused: readonly string[]
  /** Whether another host waits for others, and wrote to say so after a revision. */
  readonly isWaitedFor: (revision: number) => boolean
}

/** Knows what is owed to the others, and when they are to be told again. */
export class Acknowledger {
  readonly #store: StoreView
  readonly #graceMs: number
  /** An acknowledgement of at least this revision is due, and none of less may be given. */
  #due = 0
  #writtenTime = Number.NEGATIVE_INFINITY

  /** @param graceMs the least time from one that says nothing new to the next, milliseconds */
  constructor(store: StoreView, graceMs: number) {
    this.#store = store
    this.#graceMs = graceMs
  }

  /** Something of this revision was acted on that another host waits to hear of. */
  owe(revision: number): void {
    this.#due = Math.max(this.#due, revision)
  }

  /** One stands in the store. @param now monotonic milliseconds */
  wrote(now: number): void {
    this.#writtenTime = now
  }

  /** Revisions mean something else now. */
  forgetRevisions(): void {
    this.#due = 0
  }

  /**
   * What is to be acknowledged now, else when that may be otherwise without a new fact.
   *
   * A host that waits for others is told again, no oftener than once per grace: it may have missed
   * why this one had nothing to say.
   */
  next(
    now: number,
    { generation, refused, isWaitedFor }: Acknowledged,
  ): { readonly acknowledge?: Acknowledgement; readonly wakeAt?: number } {
    const { era, heard, relist, acknowledged } = this.#store
    const last = acknowledged?.value
    const waited =
      last !== undefined &&
      heard !== undefined &&
      last.revision < heard &&
      isWaitedFor(last.revision)
    const againAt = this.#writtenTime + this.#graceMs
    const nothing = waited ? { wakeAt: againAt } : {}
    // Where an announcement was told ahead of its time, pairs were made with it and not with the one
    // before: an acknowledgement of a revision between the two would say what is not so.
    if (heard === undefined || relist || heard < this.#due) return nothing
    const acknowledge = { era, revision: heard, generation, refused }
    if (last === undefined || !this.#store.isAcknowledged(acknowledge)) return { acknowledge }
    if (this.#due > last.revision || (waited && now >= againAt)) return { acknowledge }
    return nothing
  }
}
