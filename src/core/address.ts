/**
 * IP addresses and prefixes as values: reading and writing text, and the arithmetic of pools.
 * Text comes in as people write it and goes out canonical (RFC 5952).
 */

import { Address4, Address6 } from "ip-address"
import { LariatError } from "../errors.ts"
import { addressFault, quoteInput, refusedAddress } from "./address_fault.ts"

/** The IP version. */
export type Family = 4 | 6

/** One address. */
export interface Address {
  readonly family: Family
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array
}

/** An address with a prefix length; the host bits are kept, as in `10.42.0.2/16`. */
export interface Prefix {
  readonly family: Family
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array
  /** Bits of the network part, 0 to 32 or 128. */
  readonly length: number
}

/**
 * What may be an address at all. The package reads more than that: prefix lengths, zone ids, dotted
 * parts of IPv6 addresses.
 */
const PLAIN = /^(?:[0-9.]{7,15}|[0-9a-fA-F:]{2,39})$/

/** The family of an address or prefix, by its spelling. The text must be known to be one. */
export function familyOf(text: string): Family {
  return text.includes(":") ? 6 : 4
}

/** The prefix of one address alone: `10.42.5.1` as `10.42.5.1/32`. */
export function hostPrefix(address: string): string {
  return `${address}/${familyOf(address) === 4 ? 32 : 128}`
}

/**
 * Reads `10.42.0.1` or `fd00::1`. Zone ids, IPv4-mapped addresses, dotted parts of IPv6 addresses,
 * leading zeros in IPv4 numbers, white space and prefix lengths are refused.
 *
 * @throws LariatError config-invalid
 */
export function parseAddress(text: string): Address {
  const family = familyOf(text)
  const groups = PLAIN.test(text) ? groupsOf(text, family) : undefined
  if (groups === undefined) throw addressFault(text)
  if (family === 4) return { family, bytes: Uint8Array.from(groups, Number) }
  const values = groups.map((group) => Number.parseInt(group, 16))
  const bytes = Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]))
  // One address must have one spelling: it is the key of leases and of the metadata's callers.
  if (values.slice(0, 6).join() === "0,0,0,0,0,65535") {
    const hint = `Write ${bytes.subarray(12).join(".")}`
    throw refusedAddress(text, "it is an IPv4-mapped IPv6 address", hint)
  }
  return { family, bytes }
}

/** Four decimal numbers or eight hexadecimal groups; undefined for what is no address. */
function groupsOf(text: string, family: Family): readonly string[] | undefined {
  try {
    return (family === 4 ? new Address4(text) : new Address6(text)).parsedAddress
  } catch {
    return undefined
  }
}

/** Canonical text: dotted decimal, or RFC 5952. */
export function formatAddress(address: Address): string {
  const { family, bytes } = address
  if (family === 4) return bytes.join(".")
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  )
  return new Address6(groups.join(":")).correctForm()
}

/**
 * Reads `10.42.0.2/16` or `fd00::/64`; host bits are kept.
 *
 * @throws LariatError config-invalid
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf("/")
  const refuse = (why: string): LariatError =>
    new LariatError(`Cannot read prefix ${quoteInput(text)}: ${why}`, {
      code: "config-invalid",
      hint: "Write a prefix such as 10.42.0.0/16 or fd00:42::/64",
    })
  if (slash < 0) throw refuse("it has no prefix length")
  const { family, bytes } = parseAddress(text.slice(0, slash))
  const digits = text.slice(slash + 1)
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(digits)) {
    throw refuse(`the prefix length is ${quoteInput(digits)}, which is no plain decimal number`)
  }
  const length = Number(digits)
  const most = bytes.length * 8
  if (length > most) throw refuse(`the prefix length of IPv${family} is at most ${most}`)
  return { family, bytes, length }
}

/** Canonical text of address and prefix length; the host bits are kept. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix)}/${prefix.length}`
}

/** The network's mask for one byte of an address. */
function maskByte(length: number, index: number): number {
  const bits = Math.min(8, Math.max(0, length - 8 * index))
  return (0xff00 >> bits) & 0xff
}

/** The same prefix with its host bits cleared. */
export function networkOf(prefix: Prefix): Prefix {
  const bytes = prefix.bytes.map((byte, i) => byte & maskByte(prefix.length, i))
  return { family: prefix.family, bytes, length: prefix.length }
}

/** The last address of a prefix; in IPv4 that is the broadcast address. */
export function lastAddress(prefix: Prefix): Address {
  const bytes = prefix.bytes.map((byte, i) => byte | (~maskByte(prefix.length, i) & 0xff))
  return { family: prefix.family, bytes }
}

/** How many addresses a prefix holds. */
export function prefixSize(prefix: Prefix): bigint {
  return 1n << BigInt(prefix.bytes.length * 8 - prefix.length)
}

function sameBits(a: Uint8Array, b: Uint8Array, length: number): boolean {
  for (let i = 0; 8 * i < length; i++) {
    if ((((a[i] ?? 0) ^ (b[i] ?? 0)) & maskByte(length, i)) !== 0) return false
  }
  return true
}

/** Whether the address lies in the prefix; never for another family. */
export function prefixContains(prefix: Prefix, address: Address): boolean {
  return prefix.family === address.family && sameBits(prefix.bytes, address.bytes, prefix.length)
}

/** Whether two prefixes share an address; never for different families. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && sameBits(a.bytes, b.bytes, Math.min(a.length, b.length))
}

/** Whether two addresses are the same one. */
export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && sameBits(a.bytes, b.bytes, a.bytes.length * 8)
}

/** Order for sorting: IPv4 before IPv6, then by value. Negative, zero or positive. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family
  for (let i = 0; i < a.bytes.length; i++) {
    const difference = (a.bytes[i] ?? 0) - (b.bytes[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function toInteger(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value
}

/**
 * The address `n` after this one; before it where `n` is negative.
 *
 * @throws LariatError address-outside past either end of the family's address space
 */
export function addressAdd(address: Address, n: number | bigint): Address {
  let rest = toInteger(address.bytes) + BigInt(n)
  if (rest < 0n || rest >> BigInt(address.bytes.length * 8) !== 0n) {
    throw new LariatError(
      `Cannot add ${n} to ${formatAddress(address)}: the sum is no IPv${address.family} address`,
      { code: "address-outside" },
    )
  }
  const bytes = new Uint8Array(address.bytes.length)
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return { family: address.family, bytes }
}

/**
 * How far the address lies from the first address of the prefix.
 *
 * @throws LariatError address-outside where the address is not in the prefix
 */
export function addressOffset(prefix: Prefix, address: Address): bigint {
  if (!prefixContains(prefix, address)) {
    throw new LariatError(
      `Cannot place ${formatAddress(address)} in ${formatPrefix(networkOf(prefix))}: it lies outside`,
      { code: "address-outside", hint: "Give an address of the network's own subnet" },
    )
  }
  return toInteger(address.bytes) & (prefixSize(prefix) - 1n)
}
