import { parseAddress, parsePrefix, prefixContains } from "../../../core/address.ts"
import type { Health } from "../../health.ts"
import { containerName } from "../../services/metadata_feed.ts"
import type { EndpointRow } from "../../state/rows.ts"
import type { StateDatabase } from "../../state/state_database.ts"
import type { ClusterState, LostBlock } from "../state/cluster_state.ts"

/** Containers that are named in one message; of the others the number is told. */
const MOST_NAMED = 5

/** What {@link LostBlocks} work with. */
export interface LostBlocksOptions {
  readonly memory: ClusterState
  readonly stateDatabase: StateDatabase
  readonly health: Health
  readonly nameOf: (hostId: string) => string
}

/**
 * Blocks that another host keeps though containers of this one have addresses in them. Those
 * containers run on, and reach each other, this host and the world outside; no other host sends to
 * them. Nothing more is given from such a block, also after a restart, and it is gone with its last
 * container.
 */
export class LostBlocks {
  readonly #options: LostBlocksOptions
  /** By network, as they are remembered: each attach asks. */
  readonly #known = new Map<string, readonly LostBlock[]>()

  constructor(options: LostBlocksOptions) {
    this.#options = options
  }

  /** The host that keeps a block; undefined for one that is not lost. */
  holderOf(network: string, block: string): string | undefined {
    return this.#of(network).find((one) => one.block === block)?.holder
  }

  has(network: string, block: string): boolean {
    return this.holderOf(network, block) !== undefined
  }

  /** Whether an address is of such a block. */
  covers(network: string, address: string): boolean {
    return this.#of(network).some(({ block }) => contains(block, address))
  }

  /** Whether an endpoint has such an address. */
  touches({ pool, addresses }: EndpointRow): boolean {
    return addresses.some(({ address }) => this.covers(pool, address))
  }

  /** Another host keeps a block from now on. */
  add(network: string, block: string, holder: string): void {
    this.#put(network, [...this.#but(network, block), { block, holder }])
    this.tell(network, block)
  }

  /** No container here has an address of a block any more. */
  delete(network: string, block: string): void {
    this.#options.health.clear(problemOf(network, block))
    if (this.has(network, block)) this.#put(network, this.#but(network, block))
  }

  /** What is remembered of these networks is otherwise now. */
  forget(...networks: readonly string[]): void {
    for (const network of networks) this.#known.delete(network)
  }

  /** The endpoints here that have an address of a block. */
  leftIn(network: string, block: string): EndpointRow[] {
    return this.#options.stateDatabase
      .endpoints()
      .filter(
        ({ pool, addresses }) =>
          pool === network && addresses.some(({ address }) => contains(block, address)),
      )
  }

  /** Says in the agent's status which containers are left in a block. */
  tell(network: string, block: string): void {
    const { health, nameOf } = this.#options
    const holder = nameOf(this.holderOf(network, block) ?? "another host")
    const left = this.leftIn(network, block)
    const named = left.slice(0, MOST_NAMED).map((row) => {
      const own = row.addresses.map(({ address }) => address)
      return `${containerName(row)} (${own.filter((one) => contains(block, one)).join(", ")})`
    })
    const more = left.length > named.length ? [`${left.length - named.length} more`] : []
    health.raise(problemOf(network, block), {
      severity: "error",
      code: "address-taken",
      what: `block ${block} of network ${network} is ${holder}'s, and containers here have addresses of it: ${[...named, ...more].join(", ")}; other hosts do not reach them, and they do not reach those of ${holder} in the block`,
      hint: "make those containers anew: they get addresses of this host's own blocks",
    })
  }

  #of(network: string): readonly LostBlock[] {
    const known = this.#known.get(network) ?? this.#options.memory.lostBlocks(network)
    this.#known.set(network, known)
    return known
  }

  #but(network: string, block: string): readonly LostBlock[] {
    return this.#of(network).filter((one) => one.block !== block)
  }

  #put(network: string, blocks: readonly LostBlock[]): void {
    this.#options.memory.putLostBlocks(network, blocks)
    this.#known.set(network, blocks)
  }
}

/** Under what the trouble with a block is known in the agent's status. */
export function problemOf(network: string, block: string): string {
  return `block/${network}/${block}`
}

function contains(block: string, address: string): boolean {
  return prefixContains(parsePrefix(block), parseAddress(address))
}
