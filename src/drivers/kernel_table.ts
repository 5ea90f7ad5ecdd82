/**
 * Rows of one kind that the kernel is to have (routes, neighbours, forwarding entries), by owner,
 * compared with what it has. Only the difference is asked for.
 */

import type { MessageWriter } from "../netlink/message.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { ENODEV, ENOENT, ESRCH } from "../sys/ffi/errno.ts"

/** One thing to ask of the kernel. */
export interface Step {
  readonly message: MessageWriter
  /** What it does, for people: "added route 10.42.7.0/24". */
  readonly change: string
  /** Refusals that mean that it is done already. */
  readonly ignoredErrnos: readonly number[]
  /** To be called when the kernel did it. */
  done(): void
}

/** What {@link settle} brings to the kernel. */
export interface Settled {
  /** Makes and changes in place. */
  additions(): Step[]
  removals(): Step[]
}

/** How rows of one kind are told apart, compared and asked for. */
export interface RowKind<T> {
  /** "route". */
  readonly what: string
  /** Rows of one key exclude each other in the kernel. */
  key(row: T): string
  /** For people: "10.42.7.0/24 via 10.42.7.1". Default: the key. */
  describe?(row: T): string
  same(wanted: T, found: T): boolean
  /** Makes the row, or turns the one that has its key into it in one step. */
  add(row: T): MessageWriter
  remove(row: T): MessageWriter
  /** More refusals of {@link remove} that mean that the row is not there. Default none. */
  readonly gone?: readonly number[]
}

/** A row, its link or what it hangs on is not there any more. */
const GONE: readonly number[] = [ENOENT, ESRCH, ENODEV]

export class KernelTable<T> implements Settled {
  readonly #kind: RowKind<T>
  /** By key, by owner; of several owners the last to ask for it has it. */
  readonly #wanted = new Map<string, Map<string, T>>()
  readonly #owned = new Map<string, Set<string>>()
  readonly #found = new Map<string, T>()
  /** Rows beyond the first of a key. */
  #surplus: T[] = []
  /** Keys to compare. */
  readonly #touched = new Set<string>()

  constructor(kind: RowKind<T>) {
    this.#kind = kind
  }

  /** Says what the kernel has now. Rows that nobody asked for stay until {@link sweep}. */
  observed(rows: Iterable<T>): void {
    this.#found.clear()
    this.#surplus = []
    for (const row of rows) this.#take(row)
    for (const key of this.#wanted.keys()) this.#touched.add(key)
  }

  /**
   * What an owner wants, all of it: what it wanted before and does not now is given up. A row that
   * another owner has too passes to this one without a gap; when this one gives it up, the other
   * has it again.
   */
  desired(owner: string, rows: readonly T[]): void {
    const before = this.#owned.get(owner) ?? new Set<string>()
    const now = new Set<string>()
    for (const row of rows) {
      const key = this.#kind.key(row)
      now.add(key)
      const owners = this.#wanted.get(key) ?? new Map<string, T>()
      this.#wanted.set(key, owners)
      // The one who newly asks is the last; one who asks again keeps its place.
      owners.set(owner, row)
      this.#touched.add(key)
    }
    for (const key of before) if (!now.has(key)) this.#giveUp(owner, key)
    if (now.size > 0) this.#owned.set(owner, now)
    else this.#owned.delete(owner)
  }

  /** Nobody wants anything any more. */
  forget(): void {
    for (const owner of [...this.#owned.keys()]) this.desired(owner, [])
  }

  /** Compares every row, those that nobody asked for too. */
  sweep(): void {
    for (const key of this.#found.keys()) this.#touched.add(key)
    for (const key of this.#wanted.keys()) this.#touched.add(key)
  }

  /** Who has a key, if any one does. */
  ownerOf(key: string): string | undefined {
    return [...(this.#wanted.get(key)?.keys() ?? [])].at(-1)
  }

  /** Whether the kernel has every row of an owner, as far as is known. */
  complete(owner: string): boolean {
    for (const key of this.#owned.get(owner) ?? []) {
      const found = this.#found.get(key)
      const wanted = this.#row(key)
      if (wanted === undefined || found === undefined) return false
      if (!this.#kind.same(wanted, found)) return false
    }
    return true
  }

  additions(): Step[] {
    const steps: Step[] = []
    for (const key of this.#touched) {
      const wanted = this.#row(key)
      const found = this.#found.get(key)
      if (wanted === undefined) {
        if (found === undefined) this.#touched.delete(key)
        continue
      }
      if (found !== undefined && this.#kind.same(wanted, found)) {
        this.#touched.delete(key)
        continue
      }
      steps.push({
        message: this.#kind.add(wanted),
        change: `${found === undefined ? "added" : "changed"} ${this.#name(wanted)}`,
        ignoredErrnos: [],
        done: () => {
          this.#found.set(key, wanted)
          this.#touched.delete(key)
        },
      })
    }
    return steps
  }

  removals(): Step[] {
    const steps = this.#surplus.map((row) =>
      this.#removal(row, () => {
        this.#surplus = this.#surplus.filter((other) => other !== row)
      }),
    )
    for (const key of this.#touched) {
      const found = this.#found.get(key)
      if (found === undefined || this.#row(key) !== undefined) continue
      const step = this.#removal(found, () => {
        this.#found.delete(key)
        this.#touched.delete(key)
      })
      steps.push(step)
    }
    return steps
  }

  #take(row: T): void {
    const key = this.#kind.key(row)
    const first = this.#found.get(key)
    if (first === undefined) {
      this.#found.set(key, row)
      return
    }
    const wanted = this.#row(key)
    // Of several, the one that is wanted is not the one too many.
    const better = wanted !== undefined && this.#kind.same(wanted, row)
    this.#surplus.push(better ? first : row)
    if (better) this.#found.set(key, row)
  }

  #row(key: string): T | undefined {
    return [...(this.#wanted.get(key)?.values() ?? [])].at(-1)
  }

  #giveUp(owner: string, key: string): void {
    const owners = this.#wanted.get(key)
    owners?.delete(owner)
    if (owners?.size === 0) this.#wanted.delete(key)
    this.#touched.add(key)
  }

  #removal(row: T, done: () => void): Step {
    return {
      message: this.#kind.remove(row),
      change: `removed ${this.#name(row)}`,
      ignoredErrnos: [...GONE, ...(this.#kind.gone ?? [])],
      done,
    }
  }

  #name(row: T): string {
    return `${this.#kind.what} ${this.#kind.describe?.(row) ?? this.#kind.key(row)}`
  }
}

/** Messages in one datagram, so that the kernel's answers fit the socket's buffer. */
const BATCH = 2000

/**
 * Brings tables to the kernel: what a row of a later table relies on is in an earlier one. So
 * first all that is new or changed, in order, then all that goes, in reverse order.
 *
 * @returns what was done
 * @throws NetlinkError of the first that the kernel refused; the others are done all the same, and
 *   what was refused is asked for again the next time
 */
export function settle(
  socket: Pick<NetlinkSocket, "tryAll">,
  tables: readonly Settled[],
): string[] {
  const steps = [
    ...tables.flatMap((table) => table.additions()),
    ...tables.toReversed().flatMap((table) => table.removals()),
  ]
  const changes: string[] = []
  let refusal: Error | undefined
  for (let at = 0; at < steps.length; at += BATCH) {
    const batch = steps.slice(at, at + BATCH)
    const outcomes = socket.tryAll(
      batch.map(({ message }) => message),
      { inOrder: true },
    )
    for (const [i, step] of batch.entries()) {
      const error = outcomes[i]?.error
      if (error === undefined || step.ignoredErrnos.includes(error.errno)) {
        step.done()
        changes.push(step.change)
      } else refusal ??= error
    }
  }
  if (refusal !== undefined) throw refusal
  return changes
}
