import { Backoffs } from "../../../backoff.ts"
import type { BlockLeases } from "../../../cluster/blocks/block_lease.ts"
import type { Network } from "../../../config/network.ts"
import {
  type Family,
  familyOf,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../../core/address.ts"
import { LariatError } from "../../../errors.ts"
import type { Allocator } from "../../../ipam/allocator.ts"
import { BlockPlan, type BlockSpec } from "../../../ipam/blocks.ts"
import type { PoolSpec } from "../../../ipam/pool.ts"
import { monotonicMs } from "../../../sys/clock.ts"
import type { Health } from "../../health.ts"
import type { EndpointRow } from "../../state/rows.ts"
import type { StateDatabase } from "../../state/state_database.ts"
import type { ClusterState } from "../state/cluster_state.ts"
import { LostBlocks, problemOf } from "./lost_blocks.ts"

/** With fewer free addresses than this, another block is leased before it is needed. */
const LOW_WATER = 8
/**
 * How long an attach waits for a store that is away, milliseconds: an election of etcd takes a
 * second or two, and a runtime may wait longer than that, but not for an outage.
 */
const PATIENCE_MS = 5000
const AGAIN_MS = 250
/** From one time that a block is taken back to the next, and when that is short again. */
const TAKING_BACK = { firstMs: 1000, longestMs: 30_000, calmMs: 30_000 }

/** What a {@link BlockKeeper} works with. */
export interface BlockKeeperOptions {
  readonly memory: ClusterState
  readonly stateDatabase: StateDatabase
  readonly health: Health
  /** Undefined until the store was reached once. */
  readonly leases: () => BlockLeases
  /** The allocator of a network. */
  readonly allocatorOf: (network: string) => Allocator | undefined
  /** The blocks of a network are others now. */
  readonly onChange: (network: string) => void
  /** Another host keeps a block in which these endpoints have addresses. */
  readonly onLost: (left: readonly EndpointRow[]) => void
  readonly nameOf: (hostId: string) => string
  /** How long an attach waits for a store that is away, milliseconds. Default 5 s. */
  readonly patienceMs?: number
}

/** The blocks that this host holds of each network, and the addresses of its own in them. */
export class BlockKeeper {
  /** Of the blocks that are held, those that another host keeps. */
  readonly lost: LostBlocks
  readonly #options: BlockKeeperOptions
  readonly #plans = new Map<string, readonly BlockPlan[]>()
  /** Leases that are under way, by network and family. */
  readonly #leasing = new Map<string, Promise<void>>()
  readonly #takingBack = new Backoffs(TAKING_BACK)
  /** By network, blocks that are not held though containers here have addresses of them. */
  readonly #strange = new Map<string, ReadonlySet<string>>()

  constructor(options: BlockKeeperOptions) {
    this.#options = options
    this.lost = new LostBlocks(options)
  }

  /** Whether an endpoint has an address of a block that is not this host's. */
  isStranded(row: EndpointRow): boolean {
    const strange = [...(this.#strange.get(row.pool) ?? [])].map(parsePrefix)
    const isStrange = ({ address }: { readonly address: string }) =>
      strange.some((block) => prefixContains(block, parseAddress(address)))
    return this.lost.touches(row) || row.addresses.some(isStrange)
  }

  /** Takes a network in. @returns the pools of the blocks that are held @throws LariatError config-invalid */
  pools(network: Network): readonly PoolSpec[] {
    const { blockSize } = network.encapsulation
    const cut4 = network.subnets.map((subnet) =>
      familyOf(subnet.cidr) === 4 ? new BlockPlan(subnet, { length: blockSize }) : undefined,
    )
    // As many hosts as have a block of the one family are to have one of the other.
    const atLeast = Math.max(0, ...cut4.map((plan) => plan?.count ?? 0))
    const plans = network.subnets.map(
      (subnet, index) => cut4[index] ?? new BlockPlan(subnet, { atLeast }),
    )
    this.#plans.set(network.name, plans)
    return this.held(network.name).flatMap((block) => this.#spec(network.name, block) ?? [])
  }

  /**
   * A network is called otherwise from now on: its blocks are claimed under that name too. The claims
   * under the former one stay, for hosts that still call it so.
   */
  rename(from: string, to: string): void {
    const { memory, health } = this.#options
    memory.rename(from, to)
    this.lost.forget(from, to)
    this.#strange.set(to, this.#strange.get(from) ?? new Set())
    this.#strange.delete(from)
    health.clearAll(problemOf(from, ""))
  }

  /** The blocks of which containers here have, or may get, addresses. */
  held(network: string): readonly string[] {
    return this.#options.memory.blocks(network)
  }

  /** Whether a network is cut into such a block. */
  isBlock(network: string, block: string): boolean {
    return this.#spec(network, block) !== undefined
  }

  isHeld(network: string, block: string): boolean {
    return this.held(network).includes(block)
  }

  /**
   * Whether no other host can be sent to for addresses of a block: it is held, or containers here,
   * which must go on, have addresses of it.
   */
  isOccupied(network: string, block: string): boolean {
    return this.isHeld(network, block) || this.#strange.get(network)?.has(block) === true
  }

  /**
   * Looks for blocks that are not held though containers here have addresses of them, as on a host
   * that was alone before, or that lost its state.
   */
  lookForStrange(network: string): ReadonlySet<string> {
    const { stateDatabase, health } = this.#options
    const strange = new Set<string>()
    for (const text of stateDatabase.leases(network)) {
      const address = parseAddress(text)
      for (const plan of this.#plans.get(network) ?? []) {
        const block = plan.covering(address)?.block
        if (block !== undefined && !this.isHeld(network, block)) strange.add(block)
      }
    }
    for (const block of this.#strange.get(network) ?? []) {
      if (!strange.has(block)) health.clear(problemOf(network, block))
    }
    this.#strange.set(network, strange)
    return strange
  }

  /** This host's own addresses on a network: the last one of the first block of each family. */
  overlay(network: string): readonly string[] {
    const known = this.#options.memory.overlay(network)
    const allocator = this.#options.allocatorOf(network)
    const own: string[] = []
    for (const family of this.#families(network)) {
      const blocks = this.#good(network, family)
      const before = known.find((address) =>
        blocks.some((block) => prefixContains(parsePrefix(block), parseAddress(address))),
      )
      const address = before ?? this.#chooseOwn(network, blocks, allocator)
      if (address === undefined) continue
      own.push(address)
      if (allocator?.stateOf(address) === "free") {
        allocator.exclude(address, "it is this host's own address on the network")
      }
    }
    if (JSON.stringify(own) !== JSON.stringify(known)) {
      this.#options.memory.putOverlay(network, own)
    }
    return own
  }

  /**
   * Makes sure that there is a block with a free address for each family, or the block of each
   * address that was asked for. Returns at once where there is.
   *
   * @throws LariatError `store-away`, `pool-exhausted`; `address-taken` when the block of an address
   *   is another host's
   */
  async roomFor(network: string, requested: readonly string[]): Promise<void> {
    const asked = requested.map((text) => parseAddress(text.split("/")[0] ?? text))
    for (const address of asked) await this.#holdBlockOf(network, address)
    for (const family of this.#families(network)) {
      if (asked.some((address) => address.family === family)) continue
      const free = this.#free(network, family)
      if (free === 0) await this.#patiently(() => this.lease(network, family))
      else if (free < LOW_WATER) this.lease(network, family).catch(() => undefined)
    }
  }

  /**
   * Leases the blocks of addresses that are in use here though no block of theirs is held, as on a
   * host that was alone before, and one block of each family that has none yet.
   *
   * @throws LariatError `store-away`
   */
  async ensureFirst(network: string): Promise<void> {
    await this.#holdUsed(network)
    for (const family of this.#families(network)) {
      if (this.#good(network, family).length === 0) await this.lease(network, family)
    }
  }

  /** Leases one more block. @throws LariatError `store-away`, `pool-exhausted` */
  lease(network: string, family: Family): Promise<void> {
    const key = `${network} ${family}`
    const pending = this.#leasing.get(key)
    if (pending !== undefined) return pending
    const work = this.#lease(network, family).finally(() => this.#leasing.delete(key))
    this.#leasing.set(key, work)
    return work
  }

  /**
   * Makes sure that the store knows what is held here: after it was put back from a snapshot, or
   * after somebody wrote over it.
   *
   * @throws LariatError `store-away`
   */
  async confirm(network: string): Promise<void> {
    for (const block of this.held(network)) {
      if (this.lost.has(network, block)) this.#goOver(network, block)
      else await this.#confirm(network, block)
    }
    await this.ensureFirst(network)
  }

  async #confirm(network: string, block: string): Promise<void> {
    const { health, nameOf } = this.#options
    const problem = problemOf(network, block)
    // Another host that insists as this one does must not make the store busy with it.
    const mayTakeBack = () => this.#mayTakeBack(problem)
    const outcome = await this.#options.leases().keep(network, block, mayTakeBack)
    if (!outcome.held) this.#leave(network, block, outcome.holder)
    else if (outcome.rival === undefined) health.clear(problem)
    else {
      const rival = nameOf(outcome.rival)
      health.raise(problem, {
        severity: "error",
        what: `block ${block} of network ${network} was claimed by ${rival} while it is this host's; it is taken back`,
        hint: `look at ${rival} if this stays: a copied state directory, or a host that lies; a restart of this host's agent leaves the block to it`,
      })
    }
  }

  /** Another host keeps a block; it goes at once where no container here has an address of it. */
  #leave(network: string, block: string, holder: string): void {
    const { health, nameOf, allocatorOf, onLost, onChange } = this.#options
    health.repaired(`block ${block} of network ${network} was left to ${nameOf(holder)}`)
    if (this.#usedIn(network, block) === 0) {
      this.#giveUp(network, block)
      return
    }
    allocatorOf(network)?.retirePool(block)
    this.lost.add(network, block, holder)
    onLost(this.lost.leftIn(network, block))
    onChange(network)
  }

  /** Looks at a block that another host keeps: it goes with its last container. */
  #goOver(network: string, block: string): void {
    if (this.#usedIn(network, block) === 0) this.#giveUp(network, block)
    else this.lost.tell(network, block)
  }

  async #holdUsed(network: string): Promise<void> {
    const { health, leases, nameOf } = this.#options
    for (const block of this.lookForStrange(network)) {
      const outcome = await leases().hold(network, block)
      const problem = problemOf(network, block)
      if (outcome.held) {
        health.clear(problem)
        this.#take(network, block)
        this.lookForStrange(network)
        continue
      }
      health.raise(problem, {
        severity: "error",
        what: `containers here have addresses of block ${block} of network ${network}, which is ${nameOf(outcome.holder)}'s: other hosts do not reach them`,
        hint: "detach them and attach them again: they get addresses of this host's blocks",
      })
    }
  }

  /** Tries again while the store is away, for a while. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    const until = monotonicMs() + (this.#options.patienceMs ?? PATIENCE_MS)
    for (;;) {
      try {
        return await work()
      } catch (error) {
        const away = error instanceof LariatError && error.code === "store-away"
        if (!away || monotonicMs() >= until) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }

  #mayTakeBack(what: string): boolean {
    const now = monotonicMs()
    if (now < this.#takingBack.dueAt(what)) return false
    this.#takingBack.done(what, now)
    return true
  }

  async #lease(network: string, family: Family): Promise<void> {
    const plans = (this.#plans.get(network) ?? []).filter(
      ({ subnet }) => familyOf(subnet.cidr) === family,
    )
    let failure: unknown
    for (const plan of plans) {
      try {
        this.#take(network, await this.#options.leases().claim(network, plan))
        return
      } catch (error) {
        failure = error
        if (!(error instanceof LariatError) || error.code !== "pool-exhausted") throw error
      }
    }
    throw failure
  }

  async #holdBlockOf(network: string, address: ReturnType<typeof parseAddress>): Promise<void> {
    const plans = this.#plans.get(network) ?? []
    const spec = plans.map((plan) => plan.containing(address)).find((one) => one !== undefined)
    // What is outside the network is for the allocator to refuse.
    if (spec === undefined) return
    const keeper = this.lost.holderOf(network, spec.block)
    if (keeper === undefined && this.isHeld(network, spec.block)) return
    const outcome =
      keeper === undefined
        ? await this.#patiently(() => this.#options.leases().hold(network, spec.block))
        : ({ held: false, holder: keeper } as const)
    if (outcome.held) {
      this.#take(network, spec.block)
      return
    }
    throw new LariatError(
      `Cannot give the address: its block ${spec.block} of network ${network} is host ${this.#options.nameOf(outcome.holder)}'s`,
      {
        code: "address-taken",
        hint: "run the container on that host, or ask for an address of this host's blocks; see lariat blocks",
      },
    )
  }

  #take(network: string, block: string): void {
    const spec = this.#spec(network, block)
    if (spec === undefined || this.isHeld(network, block)) return
    const { memory, stateDatabase, allocatorOf, onChange } = this.#options
    memory.putBlocks(network, [...this.held(network), block])
    const allocator = allocatorOf(network)
    allocator?.addPool(spec)
    // Addresses of a host that was alone before, and its rests.
    const inside = (address: string) => prefixContains(parsePrefix(block), parseAddress(address))
    allocator?.restore(
      stateDatabase.leases(network).filter(inside),
      stateDatabase.quarantined(network).filter(({ address }) => inside(address)),
    )
    this.overlay(network)
    onChange(network)
  }

  #giveUp(network: string, block: string): void {
    const { memory, allocatorOf, onChange } = this.#options
    memory.putBlocks(
      network,
      this.held(network).filter((one) => one !== block),
    )
    this.lost.delete(network, block)
    allocatorOf(network)?.removePool(block)
    onChange(network)
  }

  #chooseOwn(
    network: string,
    blocks: readonly string[],
    allocator: Allocator | undefined,
  ): string | undefined {
    for (const block of blocks) {
      const spec = this.#spec(network, block)
      // The first one is what a container would get next; the last is seldom in use.
      if (spec !== undefined && allocator?.stateOf(spec.end) === "free") return spec.end
    }
    return undefined
  }

  #spec(network: string, block: string): BlockSpec | undefined {
    for (const plan of this.#plans.get(network) ?? []) {
      const spec = plan.named(block)
      if (spec !== undefined) return { ...spec, retired: this.lost.has(network, block) }
    }
    return undefined
  }

  /** Blocks of a family from which addresses are given. */
  #good(network: string, family: Family): readonly string[] {
    return this.held(network).filter(
      (block) => familyOf(block) === family && !this.lost.has(network, block),
    )
  }

  #families(network: string): readonly Family[] {
    const plans = this.#plans.get(network) ?? []
    return [...new Set(plans.map(({ subnet }) => familyOf(subnet.cidr)))].sort()
  }

  #free(network: string, family: Family): number {
    const good = this.#good(network, family)
    const stats = this.#options.allocatorOf(network)?.stats() ?? []
    return stats
      .filter(({ block }) => block !== undefined && good.includes(block))
      .reduce((sum, { free, quarantined }) => sum + free + quarantined, 0)
  }

  #usedIn(network: string, block: string): number {
    const stats = this.#options.allocatorOf(network)?.stats() ?? []
    return stats.find((one) => one.block === block)?.used ?? 0
  }
}
