import { askForHolders, foreignPorts } from "../../endpoint/address_holder.ts"
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
 * attach only looks at what the kernel has heard, and waits for nobody. A bridge that has no port
 * but ours is not asked.
 */
export class AheadProbe {
  readonly #kernel: Kernel
  readonly #onFailure: (why: string) => void
  readonly #due = new Map<string, Set<Allocator>>()
  /** The ports of others at the last look, by the bridge's index. */
  readonly #others = new Map<number, string>()
  #callOff: (() => void) | undefined

  constructor(kernel: Kernel, onFailure: (why: string) => void) {
    this.#kernel = kernel
    this.#onFailure = onFailure
  }

  /** Whether somebody else may have an address on a bridge, given by its index. */
  isShared(bridge: number): boolean {
    return this.#others.get(bridge) !== ""
  }

  /** Asks in a moment. */
  soon(bridge: string, allocator: Allocator): void {
    this.#due.set(bridge, (this.#due.get(bridge) ?? new Set()).add(allocator))
    this.#callOff ??= after(SETTLE_MS, () => this.now())
  }

  /** Asks in a moment where a bridge has got other ports than at the last look. @throws NetlinkError */
  look(bridge: string, allocator: Allocator): void {
    const index = this.#kernel.link(bridge)?.index
    if (index === undefined) return
    const before = this.#others.get(index)
    if (before !== this.#lookAt(index)) this.soon(bridge, allocator)
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
        // Not listed for each attach: a bridge may have a thousand ports.
        const others = this.#others.get(index) ?? this.#lookAt(index)
        if (others === "") continue
        const addresses = [...allocators].flatMap((allocator) => allocator.upcoming(AHEAD))
        askForHolders(this.#kernel, index, addresses)
      }
    } catch (error) {
      this.#onFailure(messageOf(error))
    }
  }

  stop(): void {
    this.#callOff?.()
    this.#callOff = undefined
  }

  #lookAt(index: number): string {
    const others = foreignPorts(this.#kernel, index).join()
    this.#others.set(index, others)
    return others
  }
}
