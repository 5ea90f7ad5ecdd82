import { createHash } from "node:crypto"
import { LariatError } from "../errors.ts"
import { peek } from "./envelope.ts"
import type { Keyspace } from "./keyspace.ts"
import type { Entry, Store } from "./store.ts"

/** The blocks that a network's subnet is cut into. */
export interface BlockSource {
  readonly count: number
  /** Block `index`; undefined where no address of it may be given. */
  at(index: number): { readonly block: string } | undefined
}

/** What {@link BlockLeases} works with. */
export interface BlockLeasesOptions {
  readonly store: Store
  readonly keys: Keyspace
  readonly hostId: string
  /** Seals a claim of this host for a key. */
  readonly seal: (key: string, state: "held" | "released") => string
  /** Whether the holder of a block has been silent for so long that others may take it. */
  readonly mayTakeOver: (network: string, block: string) => boolean
  /** What people call a host. */
  readonly nameOf: (hostId: string) => string
}

/** What became of an attempt to hold a certain block. */
export type HoldOutcome =
  | { readonly held: true }
  /** Another host has it. */
  | { readonly held: false; readonly holder: string }

/** Each failed commit means that another host was quicker. */
const MAX_ATTEMPTS = 64

/**
 * Leases blocks of addresses from the store: one compare-and-swap each. A lease has no end: a host
 * keeps its blocks however long the store, or the host itself, is away.
 */
export class BlockLeases {
  readonly #options: BlockLeasesOptions

  constructor(options: BlockLeasesOptions) {
    this.#options = options
  }

  /**
   * Leases one more block. Hosts begin to look at different places, so that they seldom want the
   * same one; blocks of hosts that are gone come last.
   *
   * @throws LariatError `store-away`; `pool-exhausted` when every block is another host's
   */
  async claim(network: string, source: BlockSource): Promise<string> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = await this.#candidate(network, source)
      if (found === undefined) {
        throw new LariatError(
          `Cannot lease a block of network ${network}: all ${source.count} are other hosts'`,
          {
            code: "pool-exhausted",
            hint: "widen the subnet, make blocks smaller with block_size, or wait until those of hosts that are gone are free; lariat blocks lists them",
          },
        )
      }
      const key = this.#options.keys.block(network, found.block)
      const value = this.#options.seal(key, "held")
      const { store } = this.#options
      const { committed } = await store.commit(
        [{ key, revision: found.revision }],
        [{ key, value }],
      )
      if (committed) return found.block
    }
    throw new LariatError(
      `Cannot lease a block of network ${network}: other hosts were quicker ${MAX_ATTEMPTS} times`,
      { code: "busy", hint: "try again" },
    )
  }

  /**
   * Leases a certain block, or makes sure that it still is this host's: after the store was put back
   * from a snapshot, or for an address that was asked for.
   *
   * @throws LariatError `store-away`, `busy`
   */
  async hold(network: string, block: string): Promise<HoldOutcome> {
    const { store, keys, hostId, seal, mayTakeOver } = this.#options
    const key = keys.block(network, block)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const entry = await store.get(key)
      const claim = claimOf(entry)
      if (claim?.hostId === hostId && claim.held) return { held: true }
      if (claim?.held === true && !mayTakeOver(network, block)) {
        return { held: false, holder: claim.hostId }
      }
      const writes = [{ key, value: seal(key, "held") }]
      const { committed } = await store.commit([{ key, revision: entry?.revision ?? 0 }], writes)
      if (committed) return { held: true }
    }
    throw new LariatError(`Cannot lease ${block} of network ${network}: it changes all the time`, {
      code: "busy",
      hint: "try again",
    })
  }

  /**
   * Takes a block back that another host's record stands on, though this host never gave it up: the
   * record is not believed by any host that saw ours first.
   *
   * @throws LariatError `store-away`
   */
  async reclaim(network: string, block: string): Promise<void> {
    const { store, keys, seal } = this.#options
    const key = keys.block(network, block)
    const entry = await store.get(key)
    await store.commit(
      [{ key, revision: entry?.revision ?? 0 }],
      [{ key, value: seal(key, "held") }],
    )
  }

  /** Gives a block up: signed, so that everybody knows it to be free. @throws LariatError `store-away` */
  async release(network: string, block: string): Promise<void> {
    const { store, keys, hostId, seal } = this.#options
    const key = keys.block(network, block)
    const entry = await store.get(key)
    const claim = claimOf(entry)
    if (entry === undefined || claim?.hostId !== hostId || !claim.held) return
    await store.commit([{ key, revision: entry.revision }], [{ key, value: seal(key, "released") }])
  }

  /** The blocks of a network that the store says are this host's. @throws LariatError `store-away` */
  async mine(network: string): Promise<string[]> {
    const { store, keys, hostId } = this.#options
    const { entries } = await store.list(keys.blocks(network))
    return entries.flatMap((entry) => {
      const parsed = keys.parse(entry.key)
      const claim = claimOf(entry)
      const mine = parsed?.kind === "block" && claim?.hostId === hostId && claim.held
      return mine ? [parsed.block] : []
    })
  }

  async #candidate(
    network: string,
    source: BlockSource,
  ): Promise<{ readonly block: string; readonly revision: number } | undefined> {
    const { store, keys, hostId, mayTakeOver } = this.#options
    const { entries } = await store.list(keys.blocks(network))
    const known = new Map(entries.map((entry) => [entry.key, entry]))
    const start = placeOf(hostId, source.count)
    let orphan: { readonly block: string; readonly revision: number } | undefined
    for (let step = 0; step < source.count; step++) {
      const block = source.at((start + step) % source.count)?.block
      if (block === undefined) continue
      const entry = known.get(keys.block(network, block))
      const claim = claimOf(entry)
      const found = { block, revision: entry?.revision ?? 0 }
      if (claim?.held !== true) return found
      // Its own: an agent that lost its state finds its blocks again.
      if (claim.hostId === hostId) continue
      if (orphan === undefined && mayTakeOver(network, block)) orphan = found
    }
    return orphan
  }
}

/** What stands at a block's key; undefined where nothing that anybody could believe does. */
function claimOf(
  entry: Entry | undefined,
): { readonly hostId: string; readonly held: boolean } | undefined {
  const claimed = entry === undefined ? undefined : peek(entry.value)
  if (claimed === undefined) return undefined
  const { body, hostId } = claimed
  const held = typeof body === "object" && body !== null && "state" in body && body.state === "held"
  return { hostId, held }
}

/** Where a host begins to look. */
function placeOf(hostId: string, count: number): number {
  return createHash("sha256").update(hostId).digest().readUInt32BE(0) % Math.max(1, count)
}
