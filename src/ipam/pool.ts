/** The addresses of one subnet: which may be given, which are, which rest. */

import {
  type Address,
  type Family,
  formatAddress,
  formatPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../core/address.ts"
import { Bitmap } from "../core/bitmap.ts"
import { LariatError } from "../errors.ts"
import { AddressRange } from "./address_range.ts"
import { Quarantine } from "./rest_queue.ts"

/** One pool of a network; the same shape as `Subnet` of the configuration. */
export interface PoolSpec {
  /** Network with prefix length, `10.42.0.0/16`. */
  readonly cidr: string
  readonly gateway: string
  /** First and last address that may be given, inclusive. */
  readonly start: string
  readonly end: string
  /** The block of the network that it is, canonical, where the network is cut into blocks. */
  readonly block?: string | undefined
  /** Nothing is given from it, and what is given stays. Default false. */
  readonly retired?: boolean | undefined
}

/** What is known of one address of a pool. */
export type AddressState = "free" | "given" | "quarantined" | "reserved"

/** Figures of one pool: `size` = `used` + `quarantined` + `free`; of one that is retired none is free. */
export interface PoolStats {
  readonly subnet: string
  /** The block that it is; undefined for a pool that is the whole subnet. */
  readonly block?: string | undefined
  readonly family: Family
  /** How many addresses may be given at all. */
  readonly size: number
  /** How many containers hold one. */
  readonly used: number
  /** How many were released and are not given again yet. */
  readonly quarantined: number
  readonly free: number
}

/**
 * One subnet's addresses over a bitmap. A set bit is given, quarantined or reserved; reserved are
 * the network address, the IPv4 broadcast address, the gateway, and what {@link Pool.reserve} adds.
 * Knows nothing of clocks: the caller passes the time in.
 */
export class Pool {
  /** The network of the subnet in canonical text. */
  readonly cidr: string
  readonly prefix: Prefix
  /** The block that it is; undefined for the whole subnet. */
  readonly block: string | undefined
  readonly gateway: string
  readonly range: AddressRange
  readonly #bitmap: Bitmap
  readonly #rests = new Quarantine()
  /** Why an offset is never given. */
  readonly #reserved = new Map<number, string>()
  #lastGiven: number | undefined
  /** Nothing is given from it any more; what is given stays. */
  retired: boolean

  /**
   * @throws LariatError config-invalid where the subnet's texts contradict each other or leave no
   *   address to give
   */
  constructor(spec: PoolSpec) {
    const refuse = (why: string): LariatError =>
      new LariatError(`Cannot use the subnet ${spec.cidr}: ${why}`, {
        code: "config-invalid",
        hint: "Correct network_address, start_address, end_address and gateway of the subnet",
      })
    this.prefix = networkOf(parsePrefix(spec.cidr))
    this.cidr = formatPrefix(this.prefix)
    this.block = spec.block
    this.retired = spec.retired ?? false
    const start = parseAddress(spec.start)
    const end = parseAddress(spec.end)
    const gateway = parseAddress(spec.gateway)
    if (!prefixContains(this.prefix, start)) throw refuse(`the start ${spec.start} is not in it`)
    if (!prefixContains(this.prefix, end)) throw refuse(`the end ${spec.end} is not in it`)
    if (gateway.family !== this.prefix.family) {
      throw refuse(`the gateway ${spec.gateway} is of another IP version`)
    }
    this.gateway = formatAddress(gateway)
    this.range = new AddressRange(start, end)
    this.#bitmap = Bitmap.create(this.range.size)
    for (const { address, why } of specialAddresses(this.prefix)) this.reserve(address, why)
    this.reserve(gateway, "it is the gateway")
    if (this.range.size === this.#reserved.size) {
      this.#bitmap.close()
      throw refuse(
        `no address is left to give between ${spec.start} and ${spec.end} beside the gateway` +
          ` ${spec.gateway}, the network and the broadcast address`,
      )
    }
  }

  /** By what its cursor is known: pools of one subnet differ by their block. */
  get name(): string {
    return this.block ?? this.cidr
  }

  get family(): Family {
    return this.prefix.family
  }

  /** How many addresses may be given; of a retired one, how many are in use. */
  get size(): number {
    return this.retired ? this.used + this.quarantined : this.range.size - this.#reserved.size
  }

  get used(): number {
    return this.#bitmap.used - this.#reserved.size - this.#rests.size
  }

  get quarantined(): number {
    return this.#rests.size
  }

  get free(): number {
    return this.retired ? 0 : this.range.size - this.#bitmap.used
  }

  /**
   * Where next-fit goes on: the address that {@link Pool.next} gave last. Setting an address
   * outside the range is the same as setting none.
   */
  get lastGiven(): Address | undefined {
    return this.#lastGiven === undefined ? undefined : this.range.at(this.#lastGiven)
  }

  set lastGiven(address: Address | undefined) {
    this.#lastGiven = address === undefined ? undefined : this.range.offsetOf(address)
  }

  stateOf(offset: number): AddressState {
    if (!this.#bitmap.has(offset)) return "free"
    if (this.#reserved.has(offset)) return "reserved"
    return this.#rests.has(offset) ? "quarantined" : "given"
  }

  /** Why an address of the subnet is never given; undefined where it may be. */
  reservedBecause(offset: number): string | undefined {
    return this.#reserved.get(offset)
  }

  /**
   * Never gives the address from now on; one that is quarantined leaves quarantine. False where it is given:
   * it stays with its owner. Addresses outside the range need no reserving and count as done.
   */
  reserve(address: Address, why: string): boolean {
    const offset = this.range.offsetOf(address)
    if (offset === undefined || this.#reserved.has(offset)) return true
    if (!this.take(offset)) return false
    this.#reserved.set(offset, why)
    return true
  }

  /** Frees what has rested until `now`. Amortised constant time per release. */
  wake(now: number): void {
    for (let oldest = this.#rests.peek(); oldest !== undefined; oldest = this.#rests.peek()) {
      if (oldest.until > now) return
      this.#rests.delete(oldest.offset)
      this.#bitmap.free(oldest.offset)
    }
  }

  /** Gives the next free address after the last one given, wrapping; undefined if none is free. */
  next(): number | undefined {
    if (this.retired) return undefined
    const hint = this.#lastGiven === undefined ? 0 : (this.#lastGiven + 1) % this.range.size
    const offset = this.#bitmap.allocate(hint)
    if (offset < 0) return undefined
    this.#lastGiven = offset
    return offset
  }

  /** The addresses that {@link Pool.next} would give, without giving any. */
  upcoming(count: number): Address[] {
    const before = this.#lastGiven
    const offsets: number[] = []
    for (let n = 0; n < count; n++) {
      const offset = this.next()
      if (offset === undefined) break
      offsets.push(offset)
    }
    for (const offset of offsets) this.#bitmap.free(offset)
    this.#lastGiven = before
    return offsets.map((offset) => this.range.at(offset))
  }

  /** The quarantined address that comes free first. */
  oldestRest(): { readonly offset: number; readonly until: number } | undefined {
    return this.retired ? undefined : this.#rests.peek()
  }

  /** Gives this very address, also out of its rest; false where it is given or reserved. */
  take(offset: number): boolean {
    if (this.#reserved.has(offset)) return false
    return this.#rests.delete(offset) || this.#bitmap.take(offset)
  }

  /** Takes a given address back and lets it rest; false where it is not given. */
  release(offset: number, until: number): boolean {
    if (this.stateOf(offset) !== "given") return false
    this.#rests.push(offset, until)
    return true
  }

  /** Takes a given address back that nobody used, without a rest; false where it is not given. */
  releaseUnused(offset: number): boolean {
    return this.stateOf(offset) === "given" && this.#bitmap.free(offset)
  }

  /** Lets a free address rest, as {@link Pool.rests} had told; false where it is not free. */
  restoreRest(offset: number, until: number): boolean {
    if (!this.#bitmap.take(offset)) return false
    this.#rests.push(offset, until)
    return true
  }

  /** What rests, longest first. */
  *rests(): Generator<{ readonly address: Address; readonly until: number }> {
    for (const { offset, until } of this.#rests.entries()) {
      yield { address: this.range.at(offset), until }
    }
  }

  stats(): PoolStats {
    const { cidr, block, family, size, used, quarantined, free } = this
    const named = block === undefined ? {} : { block }
    return { subnet: cidr, ...named, family, size, used, quarantined, free }
  }

  close(): void {
    this.#bitmap.close()
  }
}

/**
 * Addresses of a prefix that no host may have: in IPv4 the network and broadcast address (RFC 1122
 * section 3.2.1.3), but not of a /31 (RFC 3021) or /32; in IPv6 the subnet-router anycast address
 * (RFC 4291 section 2.6.1), but not of a /127 (RFC 6164) or /128.
 */
function specialAddresses(prefix: Prefix): { address: Address; why: string }[] {
  if (prefix.length >= prefix.bytes.length * 8 - 1) return []
  const network = { family: prefix.family, bytes: prefix.bytes }
  if (prefix.family === 6) {
    return [{ address: network, why: "it is the subnet-router anycast address" }]
  }
  return [
    { address: network, why: "it is the network address" },
    { address: lastAddress(prefix), why: "it is the broadcast address" },
  ]
}
