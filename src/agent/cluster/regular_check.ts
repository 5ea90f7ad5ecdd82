import type { Logger } from "@logtape/logtape"
import { LariatError, messageOf } from "../../errors.ts"
import type { Health } from "../health.ts"
import { SingleFlight } from "./single_flight.ts"

/** What a {@link RegularCheck} works with. */
export interface RegularCheckOptions {
  /** Whether the store can be reached; nothing is tried where not. */
  readonly isReachable: () => boolean
  /** Makes good what the store lacks. */
  readonly work: () => Promise<void>
  readonly health: Health
  readonly log: Logger
}

/** Goes over what the store is to have of this host: from time to time, and when something is amiss. */
export class RegularCheck {
  readonly #options: RegularCheckOptions
  readonly #flight = new SingleFlight(() => this.#once())

  constructor(options: RegularCheckOptions) {
    this.#options = options
  }

  /** Resolves when it was done once after this call; what fails is told, and done the next time. */
  run(): Promise<void> {
    return this.#flight.run()
  }

  async #once(): Promise<void> {
    const { isReachable, work, health, log } = this.#options
    if (!isReachable()) return
    try {
      await work()
      health.clear("cluster")
    } catch (error) {
      log.info("the regular check of the cluster: {why}", { why: messageOf(error) })
      // An outage has its own problem.
      if (!(error instanceof LariatError) || error.code === "store-away") return
      const { message: what, hint } = error
      health.raise("cluster", { severity: "error", what, hint })
    }
  }
}
