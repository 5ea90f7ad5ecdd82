import { type StrayThread, strayThreads } from "../sys/stray_threads.ts"
import type { Health } from "./health.ts"

const PROBLEM = "threads"
/** The runtime's helpers end after ten idle seconds: one that is there longer stays. */
const STAYS_AFTER_MS = 60_000

/**
 * Looks for threads of the runtime that were born while this program was inside a container's
 * namespace, and stay there: they keep the namespace after its container is gone.
 */
export class StrayWatch {
  readonly #health: Health
  readonly #now: () => number
  readonly #find: () => readonly StrayThread[]
  /** When each was seen first, by thread and namespace. */
  readonly #since = new Map<string, number>()

  /**
   * @param now monotonic milliseconds
   * @param find default {@link strayThreads}
   */
  constructor(
    health: Health,
    now: () => number,
    find: () => readonly StrayThread[] = strayThreads,
  ) {
    this.#health = health
    this.#now = now
    this.#find = find
  }

  /** To be called now and then. */
  look(): void {
    const now = this.#now()
    const found = this.#find().map((thread) => ({
      ...thread,
      key: `${thread.tid} ${thread.netns}`,
    }))
    const there = new Set(found.map(({ key }) => key))
    for (const key of this.#since.keys()) if (!there.has(key)) this.#since.delete(key)
    const staying = found.filter(({ key }) => {
      const since = this.#since.get(key) ?? now
      this.#since.set(key, since)
      return now - since >= STAYS_AFTER_MS
    })
    if (staying.length === 0) {
      this.#health.clear(PROBLEM)
      return
    }
    const named = staying.map(({ name, netns }) => `${name} in ${netns}`).join(", ")
    this.#health.raise(PROBLEM, {
      severity: "warning",
      what: `threads of this program stay in containers' namespaces, and keep them: ${named}`,
      hint: "restart the agent; containers go on meanwhile",
    })
  }
}
