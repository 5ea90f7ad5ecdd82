import { LariatError, messageOf } from "../../errors.ts"
import { LegacyPass } from "../../firewall/legacy_pass.ts"
import type { Health } from "../health.ts"
import { SingleFlight } from "../single_flight.ts"

/** What lets traffic pass the legacy tables, by the name of their program. */
export type LegacyPasses = Readonly<Record<string, Pick<LegacyPass, "ensure">>>

/**
 * Keeps what lets traffic pass legacy iptables tables. The kernel tells nobody when those change:
 * they are compared whenever this is called.
 */
export class LegacyKeeper {
  readonly #health: Health
  readonly #passes: LegacyPasses
  readonly #flight = new SingleFlight(() => this.#ensure())
  #subnets: readonly string[] = []

  /** @param passes default those of the kernel */
  constructor(
    health: Health,
    passes: LegacyPasses = { iptables: new LegacyPass(4), ip6tables: new LegacyPass(6) },
  ) {
    this.#health = health
    this.#passes = passes
  }

  /** Resolves when the tables let these subnets pass, or `status` says why they do not. */
  sync(subnets: readonly string[]): Promise<void> {
    this.#subnets = subnets
    return this.#flight.run()
  }

  async #ensure(): Promise<void> {
    for (const [name, pass] of Object.entries(this.#passes)) {
      const problem = `firewall/legacy/${name}`
      try {
        for (const what of await pass.ensure(this.#subnets)) this.#health.repaired(what)
        this.#health.clear(problem)
      } catch (error) {
        this.#health.raise(problem, {
          severity: "warning",
          what: messageOf(error),
          hint: error instanceof LariatError ? error.hint : undefined,
        })
      }
    }
  }
}
