/** The routes to a peer's blocks and own addresses, where each family has a next hop. */

import {
  type Family,
  familyOf,
  formatPrefix,
  hostPrefix,
  networkOf,
  parsePrefix,
  prefixesOverlap,
} from "../core/address.ts"
import { overheadOf } from "../core/overhead.ts"
import { LariatError } from "../errors.ts"
import type { OverlayNetwork, OverlayPeer, OverlaySelf } from "./driver.ts"
import type { OverlayRoute } from "./overlay_routes.ts"

/** Where the kernel counts nothing by peer. */
export const NO_COUNTERS = { txBytes: 0, rxBytes: 0, txPackets: 0, rxPackets: 0 } as const

/**
 * Checks that this host's own addresses are of the network: others route nothing else to it.
 *
 * @throws LariatError config-invalid
 */
export function checkOwnAddresses(
  { overlay }: OverlaySelf,
  { name, subnets }: OverlayNetwork,
  network: { contains(prefix: string): boolean },
): void {
  const outside = overlay.find((address) => !network.contains(hostPrefix(address)))
  if (outside === undefined) return
  throw new LariatError(
    `Cannot give this host address ${outside} on network ${name}: it is outside ${subnets.join(", ")}`,
    { code: "config-invalid" },
  )
}

/** What of a peer's can be routed. */
export interface PeerPrefixes {
  /** Its blocks, and its own addresses that lie in none of them; canonical. */
  readonly prefixes: readonly string[]
  /** Why the others cannot, if there are any. */
  readonly reason: string | undefined
}

/**
 * The prefixes that lead to a peer.
 *
 * @param contains whether a prefix is of the network; others are refused: a host that claims
 *   0.0.0.0/0 gets nothing
 */
export function peerPrefixes(
  peer: Pick<OverlayPeer, "blocks" | "overlay">,
  contains: (prefix: string) => boolean,
): PeerPrefixes {
  const refused = peer.blocks.filter((block) => !contains(block))
  const blocks = peer.blocks
    .filter((block) => !refused.includes(block))
    .map((block) => networkOf(parsePrefix(block)))
  const own = peer.overlay
    .map(hostPrefix)
    .filter(contains)
    .map(parsePrefix)
    .filter((address) => !blocks.some((block) => prefixesOverlap(block, address)))
  const [first] = refused
  return {
    prefixes: [...new Set([...blocks, ...own].map(formatPrefix))],
    reason:
      first === undefined ? undefined : `its block ${first} is outside the network, and not routed`,
  }
}

/**
 * What fits the way to a peer where that is less than the device's own MTU; else undefined.
 *
 * @param families of the addresses outside: that the device is made for, and of the way
 */
export function routeMtu(
  kind: "vxlan" | "wireguard",
  { underlayMtu }: OverlayNetwork,
  { mtu = underlayMtu }: Pick<OverlayPeer, "mtu">,
  families: { readonly own: Family; readonly way: Family },
): number | undefined {
  try {
    const outer = Math.min(mtu, underlayMtu)
    const fits = overheadOf(kind, { outer, family: families.way }).mtu
    const whole = overheadOf(kind, { outer: underlayMtu, family: families.own }).mtu
    return fits < whole ? fits : undefined
  } catch {
    // Nothing sensible fits; the device's own MTU is the better guess.
    return undefined
  }
}

/** The way to a peer's prefixes of one family; undefined where there is none. */
export type Hop = Omit<OverlayRoute, "dst">

/**
 * Routes to the prefixes whose family has a hop.
 *
 * @returns the routes, and why some prefixes have none
 */
export function routesVia(
  { prefixes, reason }: PeerPrefixes,
  hops: Readonly<Record<Family, Hop | string>>,
): { readonly routes: OverlayRoute[]; readonly reason: string | undefined } {
  const routes: OverlayRoute[] = []
  let missing = reason
  for (const dst of prefixes) {
    const hop = hops[familyOf(dst)]
    if (typeof hop === "string") missing ??= hop
    else routes.push({ ...hop, dst })
  }
  return { routes, reason: missing }
}
