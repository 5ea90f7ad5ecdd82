/** Which address of another host is used. */

import {
  type Family,
  formatAddress,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../core/address.ts"

/** The family of what may be an address; undefined for what is none. */
export function familyIfAddress(address: string): Family | undefined {
  try {
    return parseAddress(address).family
  } catch {
    return undefined
  }
}

/** The first address of a family, canonical; what is no address is passed over. */
export function addressOf(addresses: readonly string[], family: Family): string | undefined {
  const found = addresses.find((address) => familyIfAddress(address) === family)
  return found === undefined ? undefined : formatAddress(parseAddress(found))
}

/** All of them, canonical, each once; what is no address is passed over. */
export function canonicalAddresses(addresses: readonly string[]): string[] {
  const known = addresses.filter((address) => familyIfAddress(address) !== undefined)
  return [...new Set(known.map((address) => formatAddress(parseAddress(address))))]
}

/** The family that a host uses toward others: IPv4 where it has it, so that most have it in common. */
export function ownFamily(underlay: readonly string[]): Family | undefined {
  if (addressOf(underlay, 4) !== undefined) return 4
  return addressOf(underlay, 6) === undefined ? undefined : 6
}

/** Whether an address lies in one of the prefixes. */
export function liesIn(address: string, prefixes: readonly string[]): boolean {
  const parsed = parseAddress(address)
  return prefixes.some((prefix) => prefixContains(parsePrefix(prefix), parsed))
}
