import { askForHolders } from "../../endpoint/address_holder.ts"
import type { Kernel } from "../../endpoint/kernel.ts"
import { messageOf } from "../../errors.ts"
import type { Allocator } from "../../ipam/allocator.ts"
import { after } from "../../sys/timer.ts"

/** How long attaches are gathered, milliseconds: the answers of all come before this. */
const SETTLE_MS = 50
/** How many of the next addresses are asked for: more than an engine attaches between two rounds. */
const AHEAD = 16

/**
 * Asks a bridge, ahead of the attaches that will get them, who has the next addresses of a pool: an
 * attach only looks at what the kernel has heard, and waits for nobody.
 */
export class AheadProbe {
  readonly #kernel: Kernel
  readonly #onFailure: (why: string) => void
  readonly #due = new Map<string, Set<Allocator>>()
  /** Bridges that had no port but ours when they were asked last, by index. */
  readonly #ours = new Set<number>()
  #callOff: (() => void) | undefined

  constructor(kernel: Kernel, onFailure: (why: string) => void) {
    this.#kernel = kernel
    this.#onFailure = onFailure
  }

  /** Whether somebody else may have an address on a bridge, given by its index. */
  isShared(bridge: number): boolean {
    return !this.#ours.has(bridge)
  }

  /** Asks in a moment. */
  soon(bridge: string, allocator: Allocator): void {
    this.#due.set(bridge, (this.#due.get(bridge) ?? new Set()).add(allocator))
    this.#callOff ??= after(SETTLE_MS, () => this.now())
  }

  /** Asks what is due. Never fails. */
  now(): void {
    this.stop()
    const due = [...this.#due]
    this.#due.clear()
    try {
      for (const [bridge, allocators] of due) {
        const index = this.#kernel.link(bridge)?.index
        if (index === undefined) continue
        const addresses = [...allocators].flatMap((allocator) => allocator.upcoming(AHEAD))
        if (askForHolders(this.#kernel, index, addresses)) this.#ours.delete(index)
        else this.#ours.add(index)
      }
    } catch (error) {
      this.#onFailure(messageOf(error))
    }
  }

  stop(): void {
    this.#callOff?.()
    this.#callOff = undefined
  }
}
