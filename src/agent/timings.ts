import type { CallReport } from "./report.ts"

/** How many of the latest calls of each command the figures are about. */
const REMEMBERED = 256

interface Times {
  count: number
  /** A ring: the oldest is overwritten. */
  readonly latest: Float64Array
}

/** How long the agent took for the calls that went well, by command. */
export class Timings {
  readonly #byCommand = new Map<string, Times>()

  /** Notes one call. */
  note(command: string, ms: number): void {
    const known = this.#byCommand.get(command)
    const times = known ?? { count: 0, latest: new Float64Array(REMEMBERED) }
    if (known === undefined) this.#byCommand.set(command, times)
    times.latest[times.count % REMEMBERED] = ms
    times.count += 1
  }

  /** In the order in which the commands were first called. */
  report(): CallReport[] {
    return [...this.#byCommand].map(([command, { count, latest }]) => {
      const sorted = latest.slice(0, count).sort()
      const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0
      return { command, count, medianMs: at(0.5), p90Ms: at(0.9) }
    })
  }
}
