import { createHash } from "node:crypto"
import { LariatError } from "../../errors.ts"
import type { BlockClaim, ClaimReason } from "../records/block_claim.ts"
import type { Keyspace } from "../records/keyspace.ts"
import type { Store } from "../store/store.ts"
import { OwnClaims } from "./own_claims.ts"
import { type StandingClaim, standingClaim } from "./standing_claim.ts"

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
  /** Seals a claim of this host for a key: a body of the state and the reason, if any. */
  readonly sign: (key: string, state: BlockClaim["state"], reason: ClaimReason) => string
  /** Whether this host knows a block to be its own. */
  readonly isMine: (network: string, block: string) => boolean
  /** The other host that is believed to hold a block, whatever the store says now. */
  readonly holderOf: (network: string, block: string) => string | undefined
  /** Whether a host that claims a block was silent for so long that others may take it. */
  readonly mayTakeOver: (network: string, block: string, hostId: string) => boolean
  /** Monotonic milliseconds. */
  readonly clock: () => number
}

/** What became of an attempt to hold a certain block. */
export type HoldOutcome =
  /** `rival`: another host's claim stood there, which this host does not agree to. */
  | { readonly held: true; readonly rival?: string | undefined }
  /** Another host has it. */
  | { readonly held: false; readonly holder: string }

/** What is to be written over a standing claim, if anything. */
type Decision = BlockClaim | { readonly yieldTo: string } | "later"

/** A block that may be claimed, and over what. */
interface Candidate {
  readonly block: string
  readonly revision: number
  readonly reason: ClaimReason
}

/** Each failed commit means that another host was quicker. */
const MAX_ATTEMPTS = 64
/** Blocks that are looked at one by one before all are listed. */
const PROBES = 8

/**
 * Leases blocks of addresses from the store: one compare-and-swap each. A lease has no end: a host
 * keeps its blocks however long the store, or the host itself, is away. Only when no block is free
 * may those of hosts that are gone be taken over.
 *
 * After `store-away` it is unknown whether a claim was written. The next {@link claim} finds it and
 * takes it up, so that none is lost.
 */
export class BlockLeases {
  readonly #options: BlockLeasesOptions
  readonly #own: OwnClaims

  constructor(options: BlockLeasesOptions) {
    this.#options = options
    this.#own = new OwnClaims(options.clock)
  }

  /**
   * Leases one more block: a free one, or one that the store has under this host's name and the host
   * does not know of, else one of a host that is gone. Hosts begin to look at different places, so
   * that they seldom want the same one.
   *
   * @throws LariatError `store-away`; `pool-exhausted` when every block is another host's; `busy`
   */
  async claim(network: string, source: BlockSource): Promise<string> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const found = (await this.#probe(network, source)) ?? (await this.#scan(network, source))
      if (found === undefined) {
        throw new LariatError(
          `Cannot lease a block of network ${network}: all ${source.count} are other hosts'`,
          {
            code: "pool-exhausted",
            hint: "widen the subnet, make blocks smaller with block_size, or wait until those of hosts that are gone are free; lariat blocks lists them",
          },
        )
      }
      if (await this.#write(network, found.block, found, "held")) return found.block
    }
    throw new LariatError(
      `Cannot lease a block of network ${network}: other hosts were quicker ${MAX_ATTEMPTS} times`,
      { code: "busy", hint: "try again" },
    )
  }

  /**
   * Leases a certain block, as for an address that was asked for. Never at the cost of another host
   * that is there.
   *
   * @throws LariatError `store-away`, `busy`
   */
  hold(network: string, block: string): Promise<HoldOutcome> {
    return this.#settle(network, block, (standing) => {
      const rival = this.#rival(network, block, standing)
      if (rival === undefined) return this.#accepted(standing)
      if (!this.#isGone(network, block, standing)) return { yieldTo: rival }
      return { state: "held", from: rival }
    })
  }

  /**
   * Makes sure that the store knows of a block that this host holds. Claims are compare-and-swaps, so
   * another host's stands there only after the store was put back from a snapshot, after this host
   * was gone for so long that its blocks were given away, or by malice. What stands in the store as
   * it is now is what counts, for that is all that can be verified: a host that saw its own claim
   * stand there takes the block back, and any other leaves it to the one that has it, and says so
   * in the store for all who still believe it to be the holder.
   *
   * @param mayTakeBack asked before the other's claim is written over; where not, this host keeps
   *   the block and says so another time. Default: always
   * @throws LariatError `store-away`, `busy`
   */
  async keep(
    network: string,
    block: string,
    mayTakeBack: () => boolean = () => true,
  ): Promise<HoldOutcome> {
    const { hostId, keys } = this.#options
    const isSure = this.#own.isSure(keys.block(network, block))
    let rival: string | undefined
    const outcome = await this.#settle(network, block, (standing) => {
      const { holder, writer } = standing
      rival = holder === hostId ? undefined : holder
      if (rival === undefined) return this.#accepted(standing)
      // What this host itself gave up stays so.
      if (writer === hostId) return { yieldTo: rival }
      if (this.#isGone(network, block, standing)) return { state: "held", from: rival }
      if (!isSure) return { yieldTo: rival }
      return mayTakeBack() ? { state: "held" } : "later"
    })
    if (outcome.held) return { ...outcome, rival }
    await this.release(network, block)
    return outcome
  }

  /**
   * Gives a block up: signed, so that everybody knows it. Where another host's claim stands, in
   * favour of that host.
   *
   * @throws LariatError `store-away`, `busy`
   */
  async release(network: string, block: string): Promise<void> {
    const { store, keys, hostId } = this.#options
    const key = keys.block(network, block)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const standing = standingClaim(await store.get(key))
      const { holder, writer, claim, revision } = standing
      if (writer === hostId && claim?.state === "released") return
      const to = holder === hostId ? undefined : holder
      const reason = to === undefined ? {} : { to }
      if (await this.#write(network, block, { revision, reason }, "released")) return
    }
    throw this.#busy("give up", network, block)
  }

  /**
   * What was seen in the store may be otherwise now: it was put back from a snapshot, or could not
   * be reached for a time.
   */
  invalidate(): void {
    this.#own.invalidate()
  }

  /** Time goes by: to be called every second or so. */
  tick(): void {
    this.#own.tick()
  }

  /** A claim where nobody else's is in the way; one that was given up for this host says by whom. */
  #accepted({ holder, writer }: StandingClaim): BlockClaim {
    const given = holder !== undefined && writer !== undefined && writer !== holder
    return given ? { state: "held", from: writer } : { state: "held" }
  }

  /** Writes what `decide` wants of a standing claim until nobody comes between. */
  async #settle(
    network: string,
    block: string,
    decide: (standing: StandingClaim) => Decision,
  ): Promise<HoldOutcome> {
    const { store, keys, hostId } = this.#options
    const key = keys.block(network, block)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const entry = await store.get(key)
      const standing = standingClaim(entry)
      const { writer, claim } = standing
      const own = writer === hostId && claim?.state === "held" ? claim : undefined
      if (own !== undefined && entry !== undefined && this.#own.isNewest(key, entry.value)) {
        this.#own.saw(key)
        return { held: true }
      }
      // An older one says the same, but hosts that saw a newer one do not take it.
      const wanted = own ?? decide(standing)
      if (wanted === "later") return { held: true }
      if ("yieldTo" in wanted) return { held: false, holder: wanted.yieldTo }
      const { state, ...reason } = wanted
      const place = { revision: standing.revision, reason }
      if (await this.#write(network, block, place, state)) return { held: true }
    }
    throw this.#busy("lease", network, block)
  }

  /** Looks at a few blocks that nobody is believed to hold. */
  async #probe(network: string, source: BlockSource): Promise<Candidate | undefined> {
    const { store, keys, holderOf, isMine } = this.#options
    let probes = 0
    for (const block of this.#blocksOf(source)) {
      if (isMine(network, block) || holderOf(network, block) !== undefined) continue
      if (probes++ === PROBES) return undefined
      const standing = standingClaim(await store.get(keys.block(network, block)))
      if (this.#isFree(network, block, standing)) {
        return { block, revision: standing.revision, reason: {} }
      }
    }
    return undefined
  }

  /** Looks at all blocks: the first one that is free, else the first orphan. */
  async #scan(network: string, source: BlockSource): Promise<Candidate | undefined> {
    const { store, keys, hostId } = this.#options
    const { entries } = await store.list(keys.blocks(network))
    const known = new Map(entries.map((entry) => [entry.key, entry]))
    let orphan: Candidate | undefined
    for (const block of this.#blocksOf(source)) {
      const standing = standingClaim(known.get(keys.block(network, block)))
      const { revision } = standing
      if (this.#isFree(network, block, standing)) return { block, revision, reason: {} }
      const rival = this.#rival(network, block, standing)
      if (orphan !== undefined || rival === undefined || rival === hostId) continue
      if (this.#isGone(network, block, standing)) {
        orphan = { block, revision, reason: { from: rival } }
      }
    }
    return orphan
  }

  /** The blocks of a network, from where this host begins to look. */
  *#blocksOf(source: BlockSource): Generator<string> {
    const start = placeOf(this.#options.hostId, source.count)
    for (let step = 0; step < source.count; step++) {
      const block = source.at((start + step) % source.count)?.block
      if (block !== undefined) yield block
    }
  }

  /** Whether a block may be claimed at nobody's cost, or was claimed by this host unawares. */
  #isFree(network: string, block: string, standing: StandingClaim): boolean {
    if (this.#options.isMine(network, block)) return false
    return this.#rival(network, block, standing) === undefined
  }

  /**
   * The other host that holds a block: by the store, else by what was seen before. A claim that
   * somebody took out of the store, or out of its past, still stands for those who saw it.
   */
  #rival(network: string, block: string, { holder }: StandingClaim): string | undefined {
    const { hostId, holderOf } = this.#options
    if (holder !== undefined && holder !== hostId) return holder
    return holderOf(network, block)
  }

  /** Whether all who may hold a block are gone for long enough. */
  #isGone(network: string, block: string, { holder }: StandingClaim): boolean {
    const { hostId, holderOf, mayTakeOver } = this.#options
    const believed = holderOf(network, block)
    return [holder, believed].every(
      (one) => one === undefined || one === hostId || mayTakeOver(network, block, one),
    )
  }

  async #write(
    network: string,
    block: string,
    { revision, reason }: Omit<Candidate, "block">,
    state: BlockClaim["state"],
  ): Promise<boolean> {
    const { store, keys, sign } = this.#options
    const key = keys.block(network, block)
    const value = sign(key, state, reason)
    if (state === "released") this.#own.givesUp(key)
    const { committed } = await store.commit([{ key, revision }], [{ key, value }])
    if (committed) this.#own.wrote(key, value, state)
    return committed
  }

  #busy(verb: string, network: string, block: string): LariatError {
    return new LariatError(
      `Cannot ${verb} ${block} of network ${network}: it changes all the time`,
      {
        code: "busy",
        hint: "try again",
      },
    )
  }
}

/** Where a host begins to look. */
function placeOf(hostId: string, count: number): number {
  return createHash("sha256").update(hostId).digest().readUInt32BE(0) % Math.max(1, count)
}
