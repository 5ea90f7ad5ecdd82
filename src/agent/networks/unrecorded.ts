import { parseAddress } from "../../core/address.ts"
import type { Allocator } from "../../ipam/allocator.ts"
import type { EndpointKey } from "./attach_request.ts"
import type { EndpointIndex } from "./endpoint_index.ts"
import type { Networks } from "./networks.ts"

/** An address that a container has, and no row. */
export interface HeldAddress {
  /** Whose it is; what can be read of it. */
  readonly key: EndpointKey
  /** Canonical text without prefix length. */
  readonly address: string
  /** Whether the kernel shows it in use. */
  readonly isUsed: () => boolean
}

/** What the kernel shows of this agent's and no row knows. */
export class Unrecorded {
  /** Names of ports that could not be taken in: it is tried again. */
  readonly ports = new Set<string>()
  readonly #networks: Networks
  readonly #index: EndpointIndex
  readonly #held = new Map<string, HeldAddress>()

  constructor(networks: Networks, index: EndpointIndex) {
    this.#networks = networks
    this.#index = index
  }

  /** Keeps an address from being given to anybody for as long as it is in use. */
  hold(held: HeldAddress): void {
    this.#held.set(held.address, held)
    this.#allocatorOf(held)?.restore([held.address])
  }

  /** Lets go of addresses that have a row now, or are not in use any more. */
  look(): void {
    for (const held of this.#held.values()) {
      const { address, key, isUsed } = held
      const allocator = this.#allocatorOf(held)
      const isKnown = this.#index.byAddress(address) !== undefined
      if (!isKnown && this.#index.get(key) === undefined && isUsed()) {
        // The block that it is of may be new here.
        allocator?.restore([address])
        continue
      }
      this.#held.delete(address)
      if (!isKnown) allocator?.release(address)
    }
  }

  #allocatorOf({ address }: HeldAddress): Allocator | undefined {
    return this.#networks.containing(parseAddress(address))?.allocator
  }
}
