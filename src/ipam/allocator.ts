/** The addresses of one network: its pools, and the rules by which a container gets one. */

import {
  type Address,
  type Family,
  formatAddress,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { type AddressState, Pool, type PoolSpec, type PoolStats } from "./pool.ts"

/** What an {@link Allocator} is made of. */
export interface AllocatorOptions {
  /** Name of the network, for messages. */
  readonly network: string
  /** The network's pools; those of one family are tried in this order. */
  readonly subnets: readonly PoolSpec[]
  /** The families that the network has. Default: those of its pools. */
  readonly families?: readonly Family[] | undefined
  /** How long a released address rests before it is given again, milliseconds. */
  readonly restMs: number
  /** A clock that never goes back and goes on while the host sleeps, milliseconds. */
  readonly clock: () => number
  /** Who holds an address, for messages: `container 4f2a… (eth0)`. */
  readonly ownerOf?: ((address: string) => string | undefined) | undefined
}

/** What {@link Allocator.allocate} is asked for. */
export interface AllocateOptions {
  /**
   * Addresses that must be given, with or without prefix length. A family that has one here gets
   * no other. A prefix length that is written replaces the subnet's in the answer.
   */
  readonly requested?: readonly string[] | undefined
}

/** One address that was given. */
export interface Allocation {
  readonly family: Family
  /** Canonical text without prefix length. */
  readonly address: string
  /** Prefix length to configure it with. */
  readonly prefix: number
  readonly gateway: string
  /** The subnet it is of, canonical. */
  readonly subnet: string
}

/** One address in quarantine. */
export interface Quarantined {
  readonly address: string
  /** When the rest ends, by the allocator's clock. */
  readonly until: number
}

/** Per subnet, or per block of one, the address that next-fit gave last. */
export type Cursor = Readonly<Record<string, string>>

/** What {@link Allocator.restore} could not place. */
export interface RestoreReport {
  /** Leases outside every pool or on a reserved address, as after a change of configuration. */
  readonly outside: readonly string[]
  /** Leases that were in the list twice. */
  readonly duplicate: readonly string[]
}

interface Place {
  readonly pool: Pool
  readonly offset: number
}

/**
 * Gives addresses so that one that was released is used again as late as possible: next-fit, never
 * lowest-first, and after a rest, so that stale ARP and conntrack entries age out. Availability
 * beats the rest: when nothing else is left, the address that rested longest is given. Addresses
 * asked for by name are given out of their rest too, for a container that restarts with its own.
 *
 * Nothing here is durable; see {@link Allocator.restore}.
 */
export class Allocator {
  #network: string
  /** The families of which the network has a subnet, IPv4 first. */
  readonly families: readonly Family[]
  readonly #pools: Pool[] = []
  readonly #poolsOf: Readonly<Record<Family, Pool[]>> = { 4: [], 6: [] }
  /** By address, why it is never given: also for pools that are taken in later. */
  readonly #excluded = new Map<string, string>()
  readonly #restMs: number
  readonly #clock: () => number
  readonly #ownerOf: (address: string) => string | undefined

  /** @throws LariatError config-invalid where a subnet is not usable */
  constructor(options: AllocatorOptions) {
    this.#network = options.network
    this.#restMs = options.restMs
    this.#clock = options.clock
    this.#ownerOf = options.ownerOf ?? (() => undefined)
    try {
      for (const subnet of options.subnets) this.addPool(subnet)
    } catch (error) {
      this.close()
      throw error
    }
    const all: readonly Family[] = [4, 6]
    const has = (family: Family) => this.#poolsOf[family].length > 0
    this.families = all.filter((family) => options.families?.includes(family) ?? has(family))
  }

  /** Name of the network, for messages. */
  get network(): string {
    return this.#network
  }

  /** The network is called so from now on. */
  rename(network: string): void {
    this.#network = network
  }

  /**
   * Takes a pool in, such as a block that this host leased. What was given or rests in it is for
   * {@link Allocator.restore}.
   *
   * @throws LariatError config-invalid where it is not usable, or another pool has addresses of it
   */
  addPool(spec: PoolSpec): void {
    const pool = new Pool(spec)
    const other = this.#pools.find(({ range }) => range.overlaps(pool.range))
    if (other !== undefined) {
      pool.close()
      throw new LariatError(
        `Cannot use ${pool.name} for network ${this.network}: it shares addresses with ${other.name}`,
        { code: "config-invalid", hint: "Leave out one of the two" },
      )
    }
    for (const [address, why] of this.#excluded) pool.reserve(parseAddress(address), why)
    this.#pools.push(pool)
    this.#poolsOf[pool.family].push(pool)
  }

  /** Gives nothing from a block any more: it is another host's. What is given stays. */
  retirePool(block: string): void {
    for (const pool of this.#pools) if (pool.block === block) pool.retired = true
  }

  /** Whether an address is of a block from which nothing is given any more. */
  isRetired(address: string): boolean {
    return this.#locate(parseAddress(address))?.pool.retired ?? false
  }

  /** Gives a block's pool up; false where there is none or a container has an address of it. */
  removePool(block: string): boolean {
    const pool = this.#pools.find((one) => one.block === block)
    if (pool === undefined || pool.used > 0) return false
    for (const list of [this.#pools, this.#poolsOf[pool.family]]) list.splice(list.indexOf(pool), 1)
    pool.close()
    return true
  }

  /**
   * Gives one address per family, IPv4 first, or nothing at all.
   *
   * @throws LariatError address-taken or address-outside for a requested address, pool-exhausted
   *   with the figures, config-invalid for text that is no address
   */
  allocate(options: AllocateOptions = {}): Allocation[] {
    this.#wake()
    // Everything that can fail comes first, so that nothing need be undone.
    const requested = new Map<string, { readonly place: Place; readonly prefix: number }>()
    const open = new Set(this.families)
    for (const text of options.requested ?? []) {
      const { address, length } = parseRequest(text)
      const place = this.#grant(address)
      const prefix = length ?? place.pool.prefix.length
      requested.set(formatAddress(address), { place, prefix })
      open.delete(address.family)
    }
    for (const family of open) this.#expectRoom(family)

    const given: Allocation[] = []
    for (const { place, prefix } of requested.values()) {
      place.pool.take(place.offset)
      given.push(allocation(place, prefix))
    }
    for (const family of open) given.push(allocation(this.#pick(family)))
    return given.sort((a, b) => a.family - b.family)
  }

  /**
   * What {@link Allocator.release} of an address would say now: it is to be written down before,
   * since an address must not be free while its owner's row stands.
   */
  restOf(address: string): Quarantined | undefined {
    if (this.stateOf(address) !== "given") return undefined
    return { address: formatAddress(parseAddress(address)), until: this.#clock() + this.#restMs }
  }

  /**
   * Takes an address back. By default it rests: the answer says until when. An address that no container had yet (`used: false`) is free at once. Undefined
   * also where the address is not given, so that a teardown may run twice.
   */
  release(address: string, options: { readonly used?: boolean } = {}): Quarantined | undefined {
    const place = this.#locate(parseAddress(address))
    if (place === undefined) return undefined
    if (options.used === false) {
      place.pool.releaseUnused(place.offset)
      return undefined
    }
    const until = this.#clock() + this.#restMs
    if (!place.pool.release(place.offset, until)) return undefined
    return { address: formatAddress(place.pool.range.at(place.offset)), until }
  }

  /** The addresses that will be given next, of each pool, without giving any. */
  upcoming(count: number): string[] {
    this.#wake()
    return this.#pools.flatMap((pool) => pool.upcoming(count).map(formatAddress))
  }

  /**
   * Never gives the address from now on, for instance because the bridge has it; also where the
   * pool that it is of comes later.
   *
   * @param why completes "Cannot give 10.42.0.9: …"
   * @throws LariatError address-taken where a container holds it
   */
  exclude(address: string, why: string): void {
    const parsed = parseAddress(address)
    for (const pool of this.#pools) {
      if (!pool.reserve(parsed, why)) throw this.#taken(formatAddress(parsed), "exclude")
    }
    this.#excluded.set(formatAddress(parsed), why)
  }

  /**
   * Brings a fresh allocator to the state that was written down: the addresses that containers
   * hold, those that rest, and the cursor. A rest is cut to at most `restMs` from now.
   */
  restore(
    leases: readonly string[],
    quarantined: readonly Quarantined[] = [],
    cursor: Cursor = {},
  ): RestoreReport {
    const outside: string[] = []
    const duplicate: string[] = []
    for (const text of leases) {
      const place = this.#locate(parseAddress(text))
      const state = place === undefined ? "outside" : place.pool.stateOf(place.offset)
      if (place === undefined || state === "reserved") outside.push(text)
      else if (!place.pool.take(place.offset)) duplicate.push(text)
    }
    const latest = this.#clock() + this.#restMs
    for (const { address, until } of quarantined.toSorted((a, b) => a.until - b.until)) {
      const place = this.#locate(parseAddress(address))
      place?.pool.restoreRest(place.offset, Math.min(until, latest))
    }
    for (const pool of this.#pools) {
      // A host that was alone before it leased blocks has one for the whole subnet.
      const last = cursor[pool.name] ?? cursor[pool.cidr]
      if (last !== undefined) pool.lastGiven = parseAddress(last)
    }
    return { outside, duplicate }
  }

  /** The place of next-fit, to be written down and given to {@link Allocator.restore}. */
  cursor(): Cursor {
    const cursor: Record<string, string> = {}
    for (const pool of this.#pools) {
      if (pool.lastGiven !== undefined) cursor[pool.name] = formatAddress(pool.lastGiven)
    }
    return cursor
  }

  /** What rests, per pool those that rested longest first. */
  quarantined(): Quarantined[] {
    this.#wake()
    return this.#pools.flatMap((pool) =>
      [...pool.rests()].map(({ address, until }) => ({ address: formatAddress(address), until })),
    )
  }

  /** What is known of an address. */
  stateOf(address: string): AddressState | "outside" {
    this.#wake()
    const place = this.#locate(parseAddress(address))
    return place === undefined ? "outside" : place.pool.stateOf(place.offset)
  }

  /** Figures per pool: a subnet, or a block that is held; in the order in which they came. */
  stats(): PoolStats[] {
    this.#wake()
    return this.#pools.map((pool) => pool.stats())
  }

  /** Gives the bitmaps' memory back; the allocator is of no use afterwards. */
  close(): void {
    for (const pool of this.#pools) pool.close()
  }

  #wake(): void {
    const now = this.#clock()
    for (const pool of this.#pools) pool.wake(now)
  }

  #locate(address: Address): Place | undefined {
    for (const pool of this.#pools) {
      const offset = pool.range.offsetOf(address)
      if (offset !== undefined) return { pool, offset }
    }
    return undefined
  }

  /** The place of a requested address that may be given. */
  #grant(address: Address): Place {
    const place = this.#locate(address)
    const text = formatAddress(address)
    const refuse = (code: "address-outside" | "address-taken", why: string): LariatError =>
      new LariatError(`Cannot give ${text} of network ${this.network}: ${why}`, {
        code,
        hint: `Ask for an address from ${this.#ranges()}, or for none to get a free one`,
      })
    // A gateway mostly stands outside start..end, but "outside" would be the lesser reason.
    if (this.#pools.some((pool) => pool.gateway === text)) {
      throw refuse("address-taken", "it is the gateway")
    }
    if (place === undefined) {
      const near = this.#pools.some(
        ({ block, prefix }) => block !== undefined && prefixContains(prefix, address),
      )
      const why = near
        ? "it is in no block that this host holds"
        : "it is not one of the network's addresses"
      throw refuse("address-outside", why)
    }
    if (place.pool.retired) throw refuse("address-taken", "its block is another host's now")
    const state = place.pool.stateOf(place.offset)
    if (state === "given") throw this.#taken(text, "give")
    if (state === "reserved") {
      const why = place.pool.reservedBecause(place.offset) ?? "it is reserved"
      throw refuse("address-taken", why)
    }
    return place
  }

  #taken(address: string, verb: "give" | "exclude"): LariatError {
    const owner = this.#ownerOf(address) ?? "another container"
    return new LariatError(
      `Cannot ${verb} ${address} of network ${this.network}: ${owner} has it`,
      {
        code: "address-taken",
        hint: "Detach the owner first, or use another address; `lariat endpoints` lists them",
      },
    )
  }

  #expectRoom(family: Family): void {
    const pools = this.#poolsOf[family]
    if (pools.some((pool) => pool.free > 0 || pool.oldestRest() !== undefined)) return
    const doing = `Cannot give an IPv${family} address of network ${this.network}`
    if (pools.length === 0) {
      throw new LariatError(`${doing}: this host holds no block of it`, {
        code: "pool-exhausted",
        hint: "`lariat blocks` shows who holds them, `lariat status` whether the store answers",
      })
    }
    const figures = pools.map(
      ({ cidr, size, used, quarantined }) =>
        `${cidr} of ${size}: ${used} used, ${quarantined} quarantined`,
    )
    throw new LariatError(`${doing}: no address is left (${figures.join("; ")})`, {
      code: "pool-exhausted",
      hint: "Remove containers that are not needed, or widen start_address to end_address, or add a subnet",
    })
  }

  /** Takes the next free address, else the one that rested longest. */
  #pick(family: Family): Place {
    const pools = this.#poolsOf[family]
    for (const pool of pools) {
      const offset = pool.next()
      if (offset !== undefined) return { pool, offset }
    }
    let oldest: (Place & { readonly until: number }) | undefined
    for (const pool of pools) {
      const rest = pool.oldestRest()
      if (rest !== undefined && rest.until < (oldest?.until ?? Infinity)) oldest = { pool, ...rest }
    }
    if (oldest?.pool.take(oldest.offset)) return oldest
    throw new LariatError(
      `Cannot give an IPv${family} address of network ${this.network}: the count of free addresses is wrong`,
      { code: "internal", hint: "Restart the agent and report this" },
    )
  }

  #ranges(): string {
    return this.#pools
      .map(
        ({ range }) =>
          `${formatAddress(range.first)} to ${formatAddress(range.at(range.size - 1))}`,
      )
      .join(" and ")
  }
}

function parseRequest(text: string): { address: Address; length: number | undefined } {
  if (!text.includes("/")) return { address: parseAddress(text), length: undefined }
  const { family, bytes, length } = parsePrefix(text)
  return { address: { family, bytes }, length }
}

function allocation({ pool, offset }: Place, prefix = pool.prefix.length): Allocation {
  return {
    family: pool.family,
    address: formatAddress(pool.range.at(offset)),
    prefix,
    gateway: pool.gateway,
    subnet: pool.cidr,
  }
}
