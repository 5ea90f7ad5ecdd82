/** A pool of addresses: what a `subnets` entry says, with the defaults of the original. */

import {
  type Address,
  addressAdd,
  addressOffset,
  compareAddresses,
  type Family,
  formatAddress,
  formatPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixSize,
  sameAddress,
} from "../core/address.ts"
import type { Problem } from "./diagnostic.ts"
import type { SubnetInput } from "./driver_schema.ts"
import type { Subnet } from "./network.ts"
import { reasonOf } from "./value_schema.ts"

/** The subnet of an entry that names none. */
const DEFAULT_SUBNET = "10.44.0.0/16"
/** The prefix length of an IPv4 address without one. */
const DEFAULT_LENGTH = 24
/** The same for IPv6: the size of one link (RFC 4291 section 2.5.4). */
const DEFAULT_LENGTH_6 = 64
/** How many addresses, from the first, a pool can hold: the bitmap's largest size. */
export const MAX_POOL = 1n << 24n
/** Prefix lengths that a pool may have: at most {@link MAX_POOL} of IPv4, at least one container. */
const LENGTHS: Readonly<Record<Family, readonly [number, number]>> = { 4: [8, 30], 6: [8, 126] }
/** How far the default end lies before that of the subnet: the original left these addresses out. */
const RESERVED_AT_END = 6n
/** The original had no smaller subnets; the default end of one is its last usable address. */
const SMALLEST_WITH_RESERVE = 16n

/** Addresses that no container may have, with the reason. */
const FORBIDDEN: readonly (readonly [Prefix, string])[] = (
  [
    ["0.0.0.0/8", "addresses of this host on this network (RFC 1122)"],
    ["127.0.0.0/8", "the loopback addresses"],
    ["169.254.169.250/32", "the address of metadata and DNS"],
    ["224.0.0.0/4", "the multicast addresses"],
    ["240.0.0.0/4", "reserved addresses (RFC 1112)"],
    ["::/127", "the unspecified and the loopback address"],
    ["fe80::/10", "the link-local addresses, which every link has"],
    ["ff00::/8", "the multicast addresses"],
  ] as const
).map(([prefix, what]) => [parsePrefix(prefix), what])

/** Says what is wrong with a key of the entry. */
type Say = (
  severity: "error" | "warning",
  key: keyof SubnetInput | undefined,
  message: string,
  hint?: string,
) => void

/**
 * Fills in an entry of `subnets`. IPv4 and IPv6 alike: gateway network + 1, start network + 2, end
 * network + size − 6, in subnets of less than 16 addresses the last usable one; never below the
 * start, and never more than 2^24 addresses from it.
 *
 * @returns undefined when something is wrong that leaves no usable pool
 */
export function resolveSubnet(input: SubnetInput): {
  subnet: Subnet | undefined
  problems: Problem[]
} {
  const problems: Problem[] = []
  const say: Say = (severity, key, message, hint) => {
    problems.push({ severity, path: key === undefined ? [] : [key], message, hint })
  }
  const prefix = readPrefix(input, say)
  const subnet = prefix === undefined ? undefined : fillIn(prefix, input, say)
  const failed = problems.some((problem) => problem.severity === "error")
  return { subnet: failed ? undefined : subnet, problems }
}

function readPrefix(input: SubnetInput, say: Say): Prefix | undefined {
  const said = input.network_address ?? DEFAULT_SUBNET
  const [bare = "", suffix] = said.split("/", 2)
  let address: Address
  try {
    address = parseAddress(bare)
  } catch (error) {
    const message = `network_address ${JSON.stringify(said)} is no subnet: ${reasonOf(error)}`
    say("error", "network_address", message, "write it as 10.42.0.0/16")
    return undefined
  }
  const length = readLength(said, suffix, address.family, input.cidr_size, say)
  if (length === undefined) return undefined
  const [least, most] = LENGTHS[address.family]
  if (length < least || length > most) {
    const why = length > most ? "leaves no address for a container" : "is more than a pool can hold"
    const hint = `use a prefix length from ${least} to ${most}`
    say("error", "network_address", `the prefix length ${length} ${why}`, hint)
    return undefined
  }
  const prefix: Prefix = { ...address, length }
  const network = networkOf(prefix)
  if (!sameAddress(network, prefix)) {
    const message = `network_address ${said} has bits set beyond its prefix length`
    say("warning", "network_address", message, `it is read as ${formatPrefix(network)}`)
  }
  const forbidden = FORBIDDEN.find(([range]) => prefixesOverlap(range, network))
  if (forbidden === undefined) return network
  const message = `${formatPrefix(network)} overlaps ${formatPrefix(forbidden[0])}, ${forbidden[1]}`
  say("error", "network_address", message, "choose a private range such as 10.42.0.0/16")
  return undefined
}

function readLength(
  said: string,
  suffix: string | undefined,
  family: Family,
  cidrSize: number | undefined,
  say: Say,
): number | undefined {
  const fallback = family === 4 ? DEFAULT_LENGTH : DEFAULT_LENGTH_6
  if (suffix === undefined) return cidrSize ?? fallback
  if (!/^[0-9]{1,3}$/.test(suffix) || Number(suffix) > (family === 4 ? 32 : 128)) {
    const message = `the suffix of network_address ${JSON.stringify(said)} is no prefix length`
    say("error", "network_address", message, "write it as 10.42.0.0/16")
    return undefined
  }
  if (cidrSize !== undefined && cidrSize !== Number(suffix)) {
    const message = `cidr_size ${cidrSize} differs from the suffix of network_address`
    say("warning", "cidr_size", message, `the suffix /${suffix} is used`)
  }
  return Number(suffix)
}

function fillIn(prefix: Prefix, input: SubnetInput, say: Say): Subnet | undefined {
  const inside = (key: "gateway" | "start_address" | "end_address"): Address | undefined => {
    const said = input[key]
    if (!said) return undefined
    const address = parseAddress(said)
    if (prefixContains(prefix, address)) return address
    say("error", key, `${key} ${said} is outside of ${formatPrefix(prefix)}`)
    return undefined
  }
  const gateway = inside("gateway") ?? addressAdd(prefix, 1)
  const start = inside("start_address") ?? addressAdd(prefix, 2)
  const end = cap(prefix, start, inside("end_address") ?? defaultEnd(prefix, start), input, say)
  if (compareAddresses(start, end) > 0) {
    const message = `end_address ${formatAddress(end)} is before start_address ${formatAddress(start)}`
    say("error", input.end_address ? "end_address" : "start_address", message)
    return undefined
  }
  if (isReserved(prefix, gateway)) {
    say("error", "gateway", `gateway ${formatAddress(gateway)} is no address of a host`)
  }
  if (usable(prefix, start, end, gateway) <= 0n) {
    const range = `${formatAddress(start)} to ${formatAddress(end)}`
    say("error", "start_address", `from ${range} there is no address left for a container`)
  }
  return {
    cidr: formatPrefix(prefix),
    gateway: formatAddress(gateway),
    start: formatAddress(start),
    end: formatAddress(end),
  }
}

/** IPv6 has no broadcast address. */
function lastUsable(prefix: Prefix): Address {
  const last = lastAddress(prefix)
  return prefix.family === 4 ? addressAdd(last, -1) : last
}

function defaultEnd(prefix: Prefix, start: Address): Address {
  const size = prefixSize(prefix)
  if (size < SMALLEST_WITH_RESERVE) return lastUsable(prefix)
  const end = addressAdd(prefix, size - RESERVED_AT_END)
  return compareAddresses(end, start) < 0 ? lastUsable(prefix) : end
}

function cap(prefix: Prefix, start: Address, end: Address, input: SubnetInput, say: Say): Address {
  const count = addressOffset(prefix, end) - addressOffset(prefix, start) + 1n
  if (count <= MAX_POOL) return end
  const capped = addressAdd(start, MAX_POOL - 1n)
  if (input.end_address) {
    const message = `from start_address to end_address are ${count} addresses, a pool holds ${MAX_POOL}`
    say("warning", "end_address", message, `the pool ends at ${formatAddress(capped)}`)
  }
  return capped
}

/** The network's own address, and the broadcast address of IPv4. */
function isReserved(prefix: Prefix, address: Address): boolean {
  if (sameAddress(prefix, address)) return true
  return prefix.family === 4 && sameAddress(lastAddress(prefix), address)
}

function usable(prefix: Prefix, start: Address, end: Address, gateway: Address): bigint {
  const count = addressOffset(prefix, end) - addressOffset(prefix, start) + 1n
  const never = [gateway, prefix, ...(prefix.family === 4 ? [lastAddress(prefix)] : [])]
  const within = never.filter(
    (address) => compareAddresses(start, address) <= 0 && compareAddresses(address, end) <= 0,
  )
  return count - BigInt(new Set(within.map(formatAddress)).size)
}
