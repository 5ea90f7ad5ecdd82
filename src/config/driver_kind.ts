/** Which data path a network driver means by its names. */

import type { DriverKind } from "./network.ts"

/** Words that the names of Rancher's drivers, and of ours, have in them. */
const WORDS: readonly (readonly [string, DriverKind])[] = [
  ["ipsec", "ipsec"],
  ["vxlan", "vxlan"],
  ["wireguard", "wireguard"],
  ["per-host-subnet", "routed"],
  ["routed", "routed"],
]

/**
 * The kind that the first telling name says, `none` when no name tells. Case does not matter, and
 * spaces and underscores count as hyphens.
 *
 * @param names driver's name, service and network, in this order
 */
export function driverKindOf(names: readonly (string | undefined)[]): DriverKind {
  for (const name of names) {
    const folded = (name ?? "").toLowerCase().replace(/[\s_]+/g, "-")
    for (const [word, kind] of WORDS) {
      if (folded.includes(word)) return kind
    }
  }
  return "none"
}
