/** Cutting a network's subnet into the blocks that hosts lease. */

import {
  type Address,
  addressAdd,
  compareAddresses,
  formatAddress,
  formatPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { AddressRange } from "./address_range.ts"
import type { PoolSpec } from "./pool.ts"

/** As many blocks as a pool is cut into where it is large enough: a /16 into /24. */
const DEFAULT_BLOCKS = 256
/** A block has 16 addresses at least: a /24 gives 16 blocks of /28. */
const LEAST_BLOCK_BITS = 4
/** More blocks than this are no use, and would be walked through. */
const MAX_BLOCKS = 65_536

/** A pool of one block. */
export type BlockSpec = PoolSpec & { readonly block: string }

/** How a {@link BlockPlan} cuts. */
export interface BlockPlanOptions {
  /** Prefix length of the blocks. Default: 256 blocks or more, of 16 addresses at least. */
  readonly length?: number | undefined
  /** More than the usual 256 blocks, where the subnet is large enough. Default 0. */
  readonly atLeast?: number
}

/** The blocks of one subnet: those that hold an address that may be given. */
export class BlockPlan {
  readonly subnet: PoolSpec
  /** Prefix length of every block. */
  readonly length: number
  /** How many blocks there are, those without usable address among them. */
  readonly count: number
  readonly #start: Address
  readonly #end: Address
  /** Block 0 begins here. */
  readonly #first: Address

  /** @throws LariatError config-invalid where blocks of that length do not fit the subnet */
  constructor(subnet: PoolSpec, { length, atLeast = 0 }: BlockPlanOptions = {}) {
    const whole = networkOf(parsePrefix(subnet.cidr))
    const width = whole.bytes.length * 8
    const range = new AddressRange(parseAddress(subnet.start), parseAddress(subnet.end))
    this.#start = range.first
    this.#end = range.at(range.size - 1)
    const blocksBits = Math.ceil(Math.log2(Math.max(DEFAULT_BLOCKS, atLeast)))
    const bits = Math.max(LEAST_BLOCK_BITS, Math.ceil(Math.log2(range.size)) - blocksBits)
    // A subnet may be smaller than the smallest block.
    this.length = length ?? Math.max(whole.length, width - bits)
    const first = networkOf({ ...this.#start, length: this.length })
    this.#first = { family: first.family, bytes: first.bytes }
    this.subnet = subnet
    const span = new AddressRange(this.#first, this.#end).size
    this.count = Math.ceil(span / 2 ** (width - this.length))
    if (this.length < whole.length || this.count > MAX_BLOCKS) {
      throw new LariatError(
        `Cannot cut ${subnet.cidr} into blocks of /${this.length}: ${this.length < whole.length ? "they are larger than it" : `there would be ${this.count}, and ${MAX_BLOCKS} are the most`}`,
        { code: "config-invalid", hint: "correct block_size of the network_driver" },
      )
    }
  }

  /** Block `index`; undefined where no address of it may be given. */
  at(index: number): BlockSpec | undefined {
    if (!Number.isInteger(index) || index < 0 || index >= this.count) return undefined
    const bits = this.#first.bytes.length * 8 - this.length
    const begin = new AddressRange(this.#first, this.#end).at(index * 2 ** bits)
    const prefix: Prefix = { ...begin, length: this.length }
    // 10.42.7.0 and 10.42.7.255 are good addresses of a /16, and many a program thinks otherwise.
    const edge = begin.family === 4 && bits >= LEAST_BLOCK_BITS ? 1 : 0
    const start = later(addressAdd(begin, edge), this.#start)
    const end = earlier(addressAdd(lastAddress(prefix), -edge), this.#end)
    if (compareAddresses(start, end) > 0) return undefined
    const spec = {
      cidr: this.subnet.cidr,
      gateway: this.subnet.gateway,
      start: formatAddress(start),
      end: formatAddress(end),
      block: formatPrefix(prefix),
    }
    return hasRoom(spec, start, end) ? spec : undefined
  }

  /** The block whose prefix an address lies in, though it may not be one to give. */
  covering(address: Address): BlockSpec | undefined {
    const offset = new AddressRange(this.#first, this.#end).offsetOf(address)
    if (offset === undefined) return undefined
    return this.at(Math.floor(offset / 2 ** (this.#first.bytes.length * 8 - this.length)))
  }

  /** The block that an address is of; undefined for one that may not be given. */
  containing(address: Address): BlockSpec | undefined {
    const found = this.covering(address)
    if (found === undefined) return undefined
    const below = compareAddresses(address, parseAddress(found.start)) < 0
    return below || compareAddresses(address, parseAddress(found.end)) > 0 ? undefined : found
  }

  /** The block of that name; undefined where the subnet has none such. */
  named(block: string): BlockSpec | undefined {
    try {
      const { family, bytes, length } = parsePrefix(block)
      if (length !== this.length || family !== this.#first.family) return undefined
      const offset = new AddressRange(this.#first, this.#end).offsetOf({ family, bytes })
      if (offset === undefined) return undefined
      const found = this.at(Math.floor(offset / 2 ** (bytes.length * 8 - length)))
      return found?.block === block ? found : undefined
    } catch {
      return undefined
    }
  }
}

function later(a: Address, b: Address): Address {
  return compareAddresses(a, b) > 0 ? a : b
}

function earlier(a: Address, b: Address): Address {
  return compareAddresses(a, b) < 0 ? a : b
}

/** Whether an address is left beside network, broadcast and gateway: three at most are lost. */
function hasRoom(spec: PoolSpec, start: Address, end: Address): boolean {
  const range = new AddressRange(start, end)
  if (range.size > 3) return true
  const whole = networkOf(parsePrefix(spec.cidr))
  const lost = new Set([
    spec.gateway,
    formatAddress({ family: whole.family, bytes: whole.bytes }),
    ...(whole.family === 4 ? [formatAddress(lastAddress(whole))] : []),
  ])
  return Array.from({ length: range.size }, (_, at) => formatAddress(range.at(at))).some(
    (address) => !lost.has(address),
  )
}
