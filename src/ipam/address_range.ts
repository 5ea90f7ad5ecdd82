/** A run of addresses as an index space: offset 0 is the first address. */

import { type Address, compareAddresses, formatAddress } from "../core/address.ts"
import { LariatError } from "../errors.ts"

/** The most addresses that one range covers: an IPv4 /8, and 2 MiB of bitmap. */
export const MAX_RANGE_SIZE = 2 ** 24

/** The addresses `first` to `first + size - 1`. */
export class AddressRange {
  readonly first: Address
  readonly size: number

  /**
   * The range from `first` to `last`, both included, or as much of it as the cap allows.
   *
   * @throws LariatError config-invalid for mixed families or `last` before `first`
   */
  constructor(first: Address, last: Address) {
    const refuse = (why: string): LariatError =>
      new LariatError(
        `Cannot use the range ${formatAddress(first)} to ${formatAddress(last)}: ${why}`,
        { code: "config-invalid", hint: "Correct start_address and end_address" },
      )
    if (first.family !== last.family) throw refuse("the ends are of different IP versions")
    if (compareAddresses(first, last) > 0) throw refuse("it ends before it starts")
    const span = distance(first.bytes, last.bytes) ?? MAX_RANGE_SIZE
    this.first = first
    this.size = Math.min(span + 1, MAX_RANGE_SIZE)
  }

  /** Where the address stands in the range; undefined where it lies outside. */
  offsetOf(address: Address): number | undefined {
    if (address.family !== this.first.family) return undefined
    const offset = distance(this.first.bytes, address.bytes)
    return offset !== undefined && offset < this.size ? offset : undefined
  }

  /** Whether both have an address in common. */
  overlaps(other: AddressRange): boolean {
    return this.offsetOf(other.first) !== undefined || other.offsetOf(this.first) !== undefined
  }

  /** The address at an offset from 0 to `size - 1`. */
  at(offset: number): Address {
    const bytes = Uint8Array.from(this.first.bytes)
    let carry = offset
    for (let i = bytes.length - 1; i >= 0 && carry > 0; i--) {
      carry += bytes[i] ?? 0
      bytes[i] = carry & 0xff
      carry >>>= 8
    }
    return { family: this.first.family, bytes }
  }
}

/**
 * `to - from` of two addresses of one family; undefined where that is negative or needs more than
 * 32 bits. Plain numbers: BigInt costs more than everything else an allocation does.
 */
function distance(from: Uint8Array, to: Uint8Array): number | undefined {
  let borrow = 0
  let sum = 0
  for (let i = from.length - 1, place = 1; i >= 0; i--, place *= 256) {
    const digit = (to[i] ?? 0) - (from[i] ?? 0) - borrow
    borrow = digit < 0 ? 1 : 0
    const value = digit & 0xff
    if (place < 2 ** 32) sum += value * place
    else if (value !== 0) return undefined
  }
  return borrow === 0 ? sum : undefined
}
