/**
 * Rows of one kind that the kernel is to have (routes, neighbours, forwarding entries), by owner,
 * compared with what it has. Only the difference is asked for.
 */

import type { MessageWriter } from "../netlink/message.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { ENODEV, ENOENT, ESRCH } from "../sys/ffi/errno.ts"
import { throwAll } from "./failures.ts"

/** One thing to ask of the kernel. */
interface Step {
  readonly message: MessageWriter
  /** What it does, for people: "added route 10.42.7.0/24". */
  readonly change: string
  /** Refusals that mean that it is done already. */
  readonly ignoredErrnos: readonly number[]
  /** To be called when the kernel did it. */
  done(): void
}

/** What came of asking the kernel. */
export interface Outcome {
  /** What was done, for people. */
  readonly changes: readonly string[]
  /** What was refused; it is asked for again the next time. */
  readonly failures: readonly unknown[]
}

/** A part of the kernel's state that is compared with what owners want. */
export interface KernelPart {
  /** Reads what the kernel has. @throws NetlinkError */
  load(): void
  /** Compares all, what nobody asked for too: that goes with the next {@link remove}. */
  sweep(): void
  /** Whether the kernel has all that an owner wants, as far as is known. */
  complete(owner: string): boolean
  /** Makes and changes in place. */
  add(): Outcome
  /** Takes out what nobody wants any more. */
  remove(): Outcome
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
  add(row: T, found: T | undefined): MessageWriter
  remove(row: T): MessageWriter
  /** More refusals of {@link remove} that mean that the row is not there. Default none. */
  readonly gone?: readonly number[]
  /** The kernel's, as far as they are ours. @param before by key, those known so far @throws NetlinkError */
  list(before: ReadonlyMap<string, T>): Iterable<T>
}

/** A row, its link or what it hangs on is not there any more. */
const GONE: readonly number[] = [ENOENT, ESRCH, ENODEV]
/** Messages in one datagram, so that the kernel's answers fit the socket's buffer. */
const BATCH = 2000

export class KernelTable<T> implements KernelPart {
  readonly #socket: Pick<NetlinkSocket, "tryAll">
  readonly #kind: RowKind<T>
  /** By key, by owner; of several owners the last to ask for it has it. */
  readonly #wanted = new Map<string, Map<string, T>>()
  readonly #owned = new Map<string, Set<string>>()
  readonly #found = new Map<string, T>()
  /** Rows beyond the first of a key. */
  #surplus: T[] = []
  /** Keys to compare. */
  readonly #touched = new Set<string>()

  constructor(socket: Pick<NetlinkSocket, "tryAll">, kind: RowKind<T>) {
    this.#socket = socket
    this.#kind = kind
  }

  /** Reads the kernel's. Rows that nobody asked for stay until {@link sweep}. @throws NetlinkError */
  load(): void {
    const rows = this.#kind.list(this.#found)
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

  /** Takes every row out, whoever wants it. @throws NetlinkError */
  clear(): void {
    for (const owner of [...this.#owned.keys()]) this.desired(owner, [])
    this.load()
    this.sweep()
    settle([this])
  }

  sweep(): void {
    for (const key of this.#found.keys()) this.#touched.add(key)
    for (const key of this.#wanted.keys()) this.#touched.add(key)
  }

  /** Who has a key, if any one does. */
  ownerOf(key: string): string | undefined {
    return [...(this.#wanted.get(key)?.keys() ?? [])].at(-1)
  }

  complete(owner: string): boolean {
    for (const key of this.#owned.get(owner) ?? []) {
      const found = this.#found.get(key)
      const wanted = this.#row(key)
      if (wanted === undefined || found === undefined) return false
      if (!this.#kind.same(wanted, found)) return false
    }
    return true
  }

  add(): Outcome {
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
        message: this.#kind.add(wanted, found),
        change: `${found === undefined ? "added" : "changed"} ${this.#name(wanted)}`,
        ignoredErrnos: [],
        done: () => {
          this.#found.set(key, wanted)
          this.#touched.delete(key)
        },
      })
    }
    return this.#ask(steps)
  }

  remove(): Outcome {
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
    return this.#ask(steps)
  }

  #ask(steps: readonly Step[]): Outcome {
    const changes: string[] = []
    const failures: unknown[] = []
    for (let at = 0; at < steps.length; at += BATCH) {
      const batch = steps.slice(at, at + BATCH)
      const messages = batch.map(({ message }) => message)
      const outcomes = this.#socket.tryAll(messages, { inOrder: true })
      for (const [i, step] of batch.entries()) {
        const error = outcomes[i]?.error
        if (error === undefined || step.ignoredErrnos.includes(error.errno)) {
          step.done()
          changes.push(step.change)
        } else failures.push(error)
      }
    }
    return { changes, failures }
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

/**
 * Brings parts to the kernel: what one relies on is in an earlier one. So first all that is new or
 * changed, in order, then all that goes, in reverse order. What is refused keeps nothing else from
 * being done.
 *
 * @returns what was done
 * @throws what was refused, as one error
 */
export function settle(parts: readonly KernelPart[]): string[] {
  const outcomes = [
    ...parts.map((part) => part.add()),
    ...parts.toReversed().map((part) => part.remove()),
  ]
  throwAll(outcomes.flatMap(({ failures }) => failures))
  return outcomes.flatMap(({ changes }) => changes)
}
