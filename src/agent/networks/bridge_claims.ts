import type { StateDatabase } from "../state/state_database.ts"

/** What this agent did to a bridge. */
export interface BridgeClaim {
  /** Whether it made the bridge. */
  readonly made: boolean
  /** What it put on it, with prefix length. */
  readonly addresses: readonly string[]
}

const META_KEY = "bridges"

/**
 * What this agent did to the host's bridges, remembered across restarts: what the configuration no
 * longer names is taken back, and nothing of anybody else's.
 */
export class BridgeClaims {
  readonly #database: Pick<StateDatabase, "meta" | "putMeta">
  readonly #claims: Map<string, BridgeClaim>

  constructor(database: Pick<StateDatabase, "meta" | "putMeta">) {
    this.#database = database
    this.#claims = new Map(JSON.parse(database.meta(META_KEY) ?? "[]"))
  }

  all(): readonly (readonly [name: string, claim: BridgeClaim])[] {
    return [...this.#claims]
  }

  /** Whether this agent made a bridge. */
  isMade(name: string): boolean {
    return this.#claims.get(name)?.made === true
  }

  has(name: string): boolean {
    return this.#claims.has(name)
  }

  /** Adds to what was done to a bridge. */
  add(name: string, { made, addresses }: BridgeClaim): void {
    if (!made && addresses.length === 0) return
    const known = made ? undefined : this.#claims.get(name)
    this.put(name, {
      made: made || (known?.made ?? false),
      addresses: [...new Set([...(known?.addresses ?? []), ...addresses])],
    })
  }

  /** Replaces what was done to a bridge; nothing of it is left where that is nothing. */
  put(name: string, claim: BridgeClaim): void {
    if (claim.made || claim.addresses.length > 0) this.#claims.set(name, claim)
    else this.#claims.delete(name)
    this.#database.putMeta(META_KEY, JSON.stringify([...this.#claims]))
  }
}
