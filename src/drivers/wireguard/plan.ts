/** What the kernel is to have for one peer of a WireGuard network. */

import type { Family } from "../../core/address.ts"
import type { OverlayNetwork, OverlayPeer, OverlaySelf } from "../driver.ts"
import type { PeerPlan } from "../peer_plans.ts"
import { type Hop, peerPrefixes, routeMtu, routesVia } from "../peer_routes.ts"
import { addressOf, liesIn } from "../underlay_address.ts"
import type { WantedPeer } from "./peer_table.ts"

/** What a plan rests on. */
export interface WireguardContext {
  readonly network: OverlayNetwork
  readonly self: OverlaySelf
  /** base64. */
  readonly publicKey: string
  /** Of addresses outside, where both have it. */
  readonly family: Family
  /** Of the device. */
  readonly index: number
  /** Seconds; 0 for none. */
  readonly keepalive: number
  readonly contains: (prefix: string) => boolean
  /** The key that both hosts know; undefined: the kernel's stays as it is. */
  readonly presharedKey: Uint8Array | undefined
  /** The host that has a public key already, if another than the peer does. */
  readonly keyHolder: (publicKey: string) => string | undefined
}

/** A peer's part; without `wanted` it cannot be spoken to. */
export interface WireguardPlan extends PeerPlan {
  readonly wanted: WantedPeer | undefined
}

const KEY_BYTES = 32
const MAX_PORT = 65_535

/** What hosts tell each other. */
export function wireguardParameters(publicKey: string, port: number): Record<string, string> {
  return { publicKey, port: `${port}` }
}

/** Plans for one peer. Whatever the peer says of itself, this does not throw. */
export function planPeer(context: WireguardContext, peer: OverlayPeer): WireguardPlan {
  const { network, self, index } = context
  const way = wayTo(context, peer)
  const none = (reason: string, waits = false): WireguardPlan => ({
    remote: way?.remote,
    reason,
    waits,
    wanted: undefined,
    routes: [],
  })
  if (way === undefined) return none("it has no address outside of an IP version of this host's")
  const { remote } = way
  if (liesIn(remote, network.subnets)) return none(`its address ${remote} is inside the network`)
  const port = readPort(peer.parameters.port)
  if (port === undefined) return none("it has not said its UDP port")
  const publicKey = readKey(peer.parameters.publicKey)
  if (publicKey === undefined) return none("it has not said its WireGuard key")
  if (publicKey === context.publicKey) return none("it has this host's WireGuard key")
  const holder = context.keyHolder(publicKey)
  if (holder !== undefined) return none(`host ${holder} has the same WireGuard key`, true)

  const mtu = routeMtu("wireguard", network, peer, { own: context.family, way: way.family })
  const hop = (family: Family): Hop => ({ index, source: addressOf(self.overlay, family), mtu })
  const prefixes = peerPrefixes(peer, context.contains)
  const { routes, reason } = routesVia(prefixes, { 4: hop(4), 6: hop(6) })
  // Its own addresses too, which may lie in a block: then they are part of that.
  const allowedIps = prefixes.prefixes
  const { keepalive, presharedKey } = context
  const endpoint = { address: remote, port }
  const wanted = { publicKey, endpoint, keepalive, presharedKey, allowedIps }
  return { remote, reason, waits: false, wanted, routes }
}

/** An address of the peer's outside: of the preferred family, or of the other where both have it. */
function wayTo(
  { family, self }: WireguardContext,
  { underlay }: OverlayPeer,
): { readonly remote: string; readonly family: Family } | undefined {
  const remote = addressOf(underlay, family)
  if (remote !== undefined) return { remote, family }
  const other = family === 4 ? 6 : 4
  if (addressOf(self.underlay, other) === undefined) return undefined
  const otherRemote = addressOf(underlay, other)
  return otherRemote === undefined ? undefined : { remote: otherRemote, family: other }
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined || !/^[1-9][0-9]{0,4}$/.test(text)) return undefined
  return Number(text) <= MAX_PORT ? Number(text) : undefined
}

/** Canonical base64, so that one key has one text. */
function readKey(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  try {
    const bytes = Uint8Array.fromBase64(text)
    const usable = bytes.byteLength === KEY_BYTES && bytes.some((byte) => byte !== 0)
    return usable ? bytes.toBase64() : undefined
  } catch {
    return undefined
  }
}
