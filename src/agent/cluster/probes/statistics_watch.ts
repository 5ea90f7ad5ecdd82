import { grownStatistics, parseStatistics } from "../../../drivers/ipsec/statistics.ts"
import type { Health } from "../../health.ts"

const PROBLEM = "ipsec/"

/** Tells in `status` which of the kernel's IPsec counters grow, and what each means. */
export class StatisticsWatch {
  readonly #health: Pick<Health, "raise" | "clearAll">
  readonly #read: () => string
  #before: ReadonlyMap<string, number> | undefined

  /** @param read gives the text of /proc/net/xfrm_stat; may throw where there is none */
  constructor(health: Pick<Health, "raise" | "clearAll">, read: () => string) {
    this.#health = health
    this.#read = read
  }

  /** Compares with the look before; what does not grow any more is no problem any more. */
  check(): void {
    let now: ReadonlyMap<string, number>
    try {
      now = parseStatistics(this.#read())
    } catch {
      // A kernel without CONFIG_XFRM_STATISTICS counts nothing.
      return
    }
    const before = this.#before
    this.#before = now
    this.#health.clearAll(PROBLEM)
    if (before === undefined) return
    for (const { name, by, meaning } of grownStatistics(before, now)) {
      this.#health.raise(`${PROBLEM}${name}`, {
        severity: "warning",
        what: `IPsec: ${meaning} (${name} grew by ${by})`,
      })
    }
  }
}
