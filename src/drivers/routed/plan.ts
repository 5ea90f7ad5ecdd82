/** What the kernel is to have for one peer that is reached by plain routes. */

import type { Family } from "../../core/address.ts"
import { RTN_UNICAST } from "../../netlink/constants.ts"
import type { RouteInfo } from "../../netlink/route/route.ts"
import type { OverlayNetwork, OverlayPeer } from "../driver.ts"
import type { PeerPlan } from "../peer_plans.ts"
import { type Hop, peerPrefixes, routesVia } from "../peer_routes.ts"
import { addressOf, familyIfAddress, liesIn } from "../underlay_address.ts"

/** What a plan rests on. */
export interface RoutedContext {
  readonly network: OverlayNetwork
  /** This host's own addresses on the network. */
  readonly overlay: readonly string[]
  readonly contains: (prefix: string) => boolean
  /** The route that the kernel takes to an address outside; undefined when there is none. */
  readonly way: (address: string) => RouteInfo | undefined
  readonly linkName: (index: number) => string | undefined
}

/** Plans for one peer. Whatever the peer says of itself, this does not throw. */
export function planPeer(context: RoutedContext, peer: OverlayPeer): PeerPlan {
  const { network, way } = context
  const mtu = peer.mtu !== undefined && peer.mtu < network.underlayMtu ? peer.mtu : undefined
  const gateways = peer.underlay.flatMap((address) => {
    const family = familyIfAddress(address)
    if (family === undefined) return []
    const inside = liesIn(address, network.subnets)
    const route = inside ? undefined : way(address)
    const reason = inside
      ? `its address ${address} is inside the network`
      : neighbourTrouble(address, route)
    return [{ address, family, index: route?.index, reason }]
  })
  const hop = (family: Family): Hop | string => {
    // The next hop of IPv4 may be an IPv6 address, but not the other way round.
    const fitting = gateways
      .filter((gateway) => gateway.family === family || gateway.family === 6)
      .toSorted((a, b) => Number(b.family === family) - Number(a.family === family))
    const found = fitting.find(({ index, reason }) => reason === undefined && index !== undefined)
    if (found?.index === undefined) {
      return fitting[0]?.reason ?? `it has no IPv${family} address outside the network`
    }
    const source = addressOf(context.overlay, family)
    return { index: found.index, via: found.address, source, mtu }
  }
  const prefixes = peerPrefixes(peer, context.contains)
  const { routes, reason } = routesVia(prefixes, { 4: hop(4), 6: hop(6) })
  // A peer with several addresses may send by the way to another one of this host's.
  const links = gateways.flatMap(({ index, reason: trouble }) =>
    index === undefined || trouble !== undefined ? [] : (context.linkName(index) ?? []),
  )
  const sources = [...new Set(links)].flatMap((link) =>
    prefixes.prefixes.map((prefix) => ({ link, prefix })),
  )
  return { remote: routes[0]?.via ?? gateways[0]?.address, reason, routes, sources }
}

/** Why an address cannot be a next hop, as the kernel's route to it tells; undefined when it can. */
export function neighbourTrouble(
  address: string,
  route: RouteInfo | undefined,
): string | undefined {
  if (route === undefined || route.index === undefined) {
    return `this host has no route to its address ${address}`
  }
  if (route.type !== RTN_UNICAST) return `its address ${address} is one of this host's`
  if (route.gateway === undefined) return undefined
  return `its address ${address} is behind router ${route.gateway}: plain routes need both hosts on one layer-2 network`
}
