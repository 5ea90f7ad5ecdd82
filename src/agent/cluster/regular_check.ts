import type { Logger } from "@logtape/logtape"
import { LariatError, messageOf } from "../../errors.ts"
import type { Health } from "../health.ts"
import { SingleFlight } from "../single_flight.ts"

/** What a {@link RegularCheck} works with. */
export interface RegularCheckOptions {
  /** Whether the store can be reached; nothing is tried where not. */
  readonly isReachable: () => boolean
  /** Each makes good one thing that the store lacks; none waits for another one's success. */
  readonly steps: readonly (() => Promise<void>)[]
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
    const { isReachable, steps, health, log } = this.#options
    if (!isReachable()) return
    let failure: unknown
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        log.info("the regular check of the cluster: {why}", { why: messageOf(error) })
        // An outage has its own problem, and the other steps would find the same.
        if (error instanceof LariatError && error.code === "store-away") return
        failure ??= error
      }
    }
    if (failure === undefined) health.clear("cluster")
    else if (failure instanceof LariatError) {
      const { message: what, hint } = failure
      health.raise("cluster", { severity: "error", what, hint })
    }
  }
}
