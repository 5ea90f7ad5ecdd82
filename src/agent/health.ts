import type { ProblemReport, RepairReport } from "./report.ts"

/** How many repairs are remembered. */
const MAX_REPAIRS = 50

/** What is wrong on this host now, and what the agent mended lately. */
export class Health {
  readonly #problems = new Map<string, ProblemReport>()
  readonly #repairs: RepairReport[] = []
  readonly #now: () => Date
  readonly #onRepair: (what: string) => void

  /**
   * @param options.onRepair is told of each repair, for the log
   * @param options.now the wall clock; default the system's
   */
  constructor(options: { onRepair?: (what: string) => void; now?: () => Date } = {}) {
    this.#onRepair = options.onRepair ?? (() => {})
    this.#now = options.now ?? (() => new Date())
  }

  /** Sets or replaces the problem of this key. */
  raise(key: string, problem: ProblemReport): void {
    this.#problems.set(key, problem)
  }

  /** The problem of this key is over. */
  clear(key: string): void {
    this.#problems.delete(key)
  }

  /** Drops every problem whose key begins so. */
  clearAll(prefix: string): void {
    for (const key of this.#problems.keys()) if (key.startsWith(prefix)) this.#problems.delete(key)
  }

  /** Errors first. */
  problems(): ProblemReport[] {
    const all = [...this.#problems.values()]
    return [
      ...all.filter(({ severity }) => severity === "error"),
      ...all.filter(({ severity }) => severity === "warning"),
    ]
  }

  /** Remembers what was mended; the oldest repair is forgotten beyond 50. */
  repaired(what: string): void {
    this.#repairs.push({ at: this.#now().toISOString(), what })
    if (this.#repairs.length > MAX_REPAIRS) this.#repairs.shift()
    this.#onRepair(what)
  }

  /** Newest last. */
  repairs(): readonly RepairReport[] {
    return this.#repairs
  }
}
