/** Prefixes as elements of nftables interval sets. */

import {
  type Address,
  addressAdd,
  compareAddresses,
  lastAddress,
  networkOf,
  type Prefix,
  prefixContains,
} from "../core/address.ts"
import type { SetElement } from "../netlink/nftables/element.ts"

interface Interval {
  readonly first: Address
  readonly last: Address
}

/** Whether no address follows. */
function isEnd(address: Address): boolean {
  return address.bytes.every((byte) => byte === 0xff)
}

/** Disjoint intervals in order, neighbours joined: the kernel refuses elements that overlap. */
function join(prefixes: readonly Prefix[]): Interval[] {
  const sorted = prefixes
    .map((prefix): Interval => ({ first: networkOf(prefix), last: lastAddress(prefix) }))
    .toSorted((a, b) => compareAddresses(a.first, b.first))
  const joined: Interval[] = []
  for (const next of sorted) {
    const previous = joined.at(-1)
    const touches =
      previous !== undefined &&
      (isEnd(previous.last) || compareAddresses(next.first, addressAdd(previous.last, 1)) <= 0)
    if (!touches) joined.push(next)
    else if (compareAddresses(next.last, previous.last) > 0) {
      joined[joined.length - 1] = { first: previous.first, last: next.last }
    }
  }
  return joined
}

/**
 * Elements of an interval set over one address: each interval is its first address and an end
 * mark at the address after its last. Like `nft`, an end mark at zero stands before them.
 *
 * @param prefixes all of one family; may overlap
 */
export function intervalElements(prefixes: readonly Prefix[]): SetElement[] {
  const intervals = join(prefixes)
  const [lowest] = intervals
  if (lowest === undefined) return []
  const elements: SetElement[] = []
  if (lowest.first.bytes.some((byte) => byte !== 0)) {
    elements.push({ key: new Uint8Array(lowest.first.bytes.length), intervalEnd: true })
  }
  for (const { first, last } of intervals) {
    const open = isEnd(last)
    elements.push(open ? { key: first.bytes, open } : { key: first.bytes })
    if (!open) elements.push({ key: addressAdd(last, 1).bytes, intervalEnd: true })
  }
  return elements
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

/** Prefixes that no other of the list contains, each once. */
export function outermost(prefixes: readonly Prefix[]): Prefix[] {
  const contains = (outer: Prefix, inner: Prefix): boolean =>
    outer.length < inner.length && prefixContains(outer, inner)
  const unique = new Map(
    prefixes.map(networkOf).map((prefix) => [`${prefix.bytes.join()}/${prefix.length}`, prefix]),
  )
  const all = [...unique.values()]
  return all.filter((inner) => !all.some((outer) => contains(outer, inner)))
}

/** An element that holds for a source in the prefix together with a fixed second field. */
export function prefixWith(prefix: Prefix, second: Uint8Array): SetElement {
  return {
    key: concat(networkOf(prefix).bytes, second),
    keyEnd: concat(lastAddress(prefix).bytes, second),
  }
}

/** An element that holds for a fixed first field together with an address in the prefix. */
export function prefixAfter(first: Uint8Array, prefix: Prefix): SetElement {
  return {
    key: concat(first, networkOf(prefix).bytes),
    keyEnd: concat(first, lastAddress(prefix).bytes),
  }
}

/** An element that holds for a source and a destination both in the prefix. */
export function prefixTwice(prefix: Prefix): SetElement {
  const first = networkOf(prefix).bytes
  const last = lastAddress(prefix).bytes
  return { key: concat(first, first), keyEnd: concat(last, last) }
}
