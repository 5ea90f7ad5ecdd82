/** How long a port is kept at the least: until the last host heard of the new one, milliseconds. */
const LINGER_MS = 30_000
/** How often a port that is still used then is looked at again, milliseconds. */
const AGAIN_MS = 1000

/**
 * Ports that the configuration names no more: others send to them until they have heard, and
 * associations come in by them until the last of those has gone.
 */
export class RetiringPorts {
  /** When each is looked at next; monotonic milliseconds. */
  readonly #due = new Map<number, number>()

  /** The ports. */
  get all(): number[] {
    return [...this.#due.keys()]
  }

  /** When {@link release} may have something to do; Infinity for never. */
  get nextMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#due.values())
  }

  /** @param before ports that were named @param now ports that are */
  change(before: Iterable<number>, now: ReadonlySet<number>, nowMs: number): void {
    for (const port of before) if (!now.has(port)) this.#due.set(port, nowMs + LINGER_MS)
    for (const port of now) this.#due.delete(port)
  }

  /** Lets those go that are due and not used. @returns whether there was one */
  release(nowMs: number, isUsed: (port: number) => boolean): boolean {
    let released = false
    for (const [port, due] of this.#due) {
      if (nowMs < due) continue
      if (isUsed(port)) this.#due.set(port, nowMs + AGAIN_MS)
      else released = this.#due.delete(port)
    }
    return released
  }
}
