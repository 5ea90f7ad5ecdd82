/** What the kernel is to have for one peer of a VXLAN network. */

import { type Family, hostPrefix } from "../../core/address.ts"
import type { OverlayNetwork, OverlayPeer, OverlaySelf } from "../driver.ts"
import type { OverlayRoute } from "../overlay_routes.ts"
import type { PeerPlan } from "../peer_plans.ts"
import { type Hop, peerPrefixes, routeMtu, routesVia } from "../peer_routes.ts"
import { addressOf, canonicalAddresses, liesIn } from "../underlay_address.ts"
import { readVtep, type Vtep } from "./vtep.ts"

/** Frames for a MAC go to a far end. */
export interface Forwarding {
  readonly index: number
  readonly mac: string
  /** Address of the far end; undefined in what was found and names none. */
  readonly remote: string | undefined
}

/** An overlay address has a MAC. */
export interface Neighbour {
  readonly index: number
  readonly address: string
  readonly mac: string
}

/** What a plan rests on. */
export interface VxlanContext {
  readonly network: OverlayNetwork
  readonly self: OverlaySelf
  readonly vtep: Vtep
  /** Of the device. */
  readonly index: number
  readonly contains: (prefix: string) => boolean
  /** The host that has a MAC already, if another than the peer does. */
  readonly macHolder: (mac: string) => string | undefined
}

/** A peer's rows; none where it cannot be spoken to. */
export interface VxlanPlan extends PeerPlan {
  readonly forwardings: readonly Forwarding[]
  readonly neighbours: readonly Neighbour[]
}

/** Plans for one peer. Whatever the peer says of itself, this does not throw. */
export function planPeer(context: VxlanContext, peer: OverlayPeer): VxlanPlan {
  const { index, self, vtep, network } = context
  const remote = addressOf(peer.underlay, vtep.family)
  const none = (reason: string, waits = false): VxlanPlan => ({
    remote,
    reason,
    waits,
    forwardings: [],
    neighbours: [],
    routes: [],
  })
  if (remote === undefined) return none(`it has no IPv${vtep.family} address outside the network`)
  if (liesIn(remote, network.subnets)) return none(`its address ${remote} is inside the network`)
  const theirs = readVtep(peer.parameters, vtep)
  if ("reason" in theirs) return none(theirs.reason)
  const { mac } = theirs
  if (mac === vtep.mac) return none("it has the VTEP's MAC of this host")
  const holder = context.macHolder(mac)
  if (holder !== undefined) return none(`host ${holder} has the same MAC of its VTEP`, true)

  const mtu = routeMtu("vxlan", network, peer, { own: vtep.family, way: vtep.family })
  const neighbours: Neighbour[] = []
  const ways: OverlayRoute[] = []
  const hop = (family: Family): Hop | string => {
    const via = addressOf(peer.overlay, family)
    if (via === undefined || !context.contains(`${via}/${family === 4 ? 32 : 128}`)) {
      return `it has IPv${family} blocks but no own IPv${family} address on the network`
    }
    neighbours.push({ index, address: via, mac })
    const source = addressOf(self.overlay, family)
    // IPv6 takes no next hop, onlink or not, that another link's prefix covers, and the bridge has
    // the whole subnet (ip6_route_check_nh_onlink, net/ipv6/route.c).
    if (family === 6) ways.push({ dst: hostPrefix(via), index, source, mtu })
    return { index, via, onlink: true, source, mtu }
  }
  const prefixes = peerPrefixes(peer, context.contains)
  const { routes, reason } = routesVia(prefixes, { 4: hop(4), 6: hop(6) })
  const forwardings = [{ index, mac, remote }]
  const needed = ways.filter((way) =>
    routes.some(({ via }) => via !== undefined && hostPrefix(via) === way.dst),
  )
  const others = routes.filter(({ dst }) => needed.every((way) => way.dst !== dst))
  const sources = canonicalAddresses(peer.underlay).flatMap((outer) =>
    prefixes.prefixes.map((prefix) => ({ outer, prefix })),
  )
  const all = [...needed, ...others]
  return { remote, reason, waits: false, forwardings, neighbours, routes: all, sources }
}
