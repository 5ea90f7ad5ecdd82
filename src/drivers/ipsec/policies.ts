/** The policies of one network: which packets go, and may have come, through which tunnel. */

import { familyOf } from "../../core/address.ts"
import type { Direction, Policy, PolicyInfo, Template } from "../../netlink/xfrm/policy.ts"

/** Peers' policies come before what blocks. */
const PEER_PRIORITY = 1000
/** What is local needs no tunnel: where policies are not bound to an interface. */
const LOCAL_PRIORITY = 2000
/** Everything else of the network is blocked. */
const BLOCK_PRIORITY = 60_000

/** Of "Lariat": the first byte of our reqids; then the network's number, then the host's. */
const REQID_BASE = 0x4c00_0000
/** Of "Lar". */
const IF_ID_BASE = 0x4c61_7200

/** The number that binds a peer's associations and policies of a network together. */
export function reqidOf(network: number, host: number): number {
  return REQID_BASE | (network << 16) | host
}

/** The host of a reqid of this network; undefined for another's. */
export function hostOfReqid(network: number, reqid: number): number | undefined {
  return (reqid & 0xffff_0000) >>> 0 === reqidOf(network, 0) ? reqid & 0xffff : undefined
}

/** The number of the network's XFRM interface. */
export function ifIdOf(network: number): number {
  return IF_ID_BASE | network
}

/** What a peer's policies are made of. */
export interface PeerTunnel {
  readonly reqid: number
  /** Address outside, of this host and of the peer. */
  readonly local: string
  readonly remote: string
  /** SPI that is sent on; undefined: nothing may be sent now. */
  readonly spi: number | undefined
  /** Prefixes inside that are the peer's. */
  readonly prefixes: readonly string[]
}

/**
 * A peer's policies: what is sent to its prefixes goes through the tunnel, and what comes from them
 * must have come through it. A packet from another peer's tunnel does not match, so no host can
 * speak for another's containers; nor can anybody in clear.
 *
 * @param subnets of the network: nothing else is delivered out of the tunnel
 * @param ifId of the interface; undefined where there is none
 */
export function peerPolicies(
  tunnel: PeerTunnel,
  subnets: readonly string[],
  ifId: number | undefined,
): Policy[] {
  const { reqid, local, remote, spi, prefixes } = tunnel
  const outside: Template = { source: local, destination: remote, reqid, spi: spi ?? 0 }
  // Any of its associations, old or new.
  const inside: Template = { source: remote, destination: local, reqid, spi: 0 }
  return prefixes.flatMap((prefix) => {
    const family = familyOf(prefix)
    const out: Policy = {
      source: family === 6 ? "::/0" : "0.0.0.0/0",
      destination: prefix,
      direction: "out",
      priority: PEER_PRIORITY,
      action: spi === undefined ? "block" : outside,
      ifId,
    }
    const back = subnets
      .filter((subnet) => familyOf(subnet) === family)
      .flatMap((destination) =>
        (["in", "fwd"] as const).map(
          (direction): Policy => ({
            source: prefix,
            destination,
            direction,
            priority: PEER_PRIORITY,
            action: inside,
            ifId,
          }),
        ),
      )
    // What did not come out of the tunnel meets these instead, and is somebody's invention.
    const clear = (["in", "fwd"] as const).map(
      (direction): Policy => ({
        source: prefix,
        destination: family === 6 ? "::/0" : "0.0.0.0/0",
        direction,
        // Without an interface the policies above are met by clear text too, and come first.
        priority: ifId === undefined ? BLOCK_PRIORITY : PEER_PRIORITY,
        action: "block",
      }),
    )
    return [out, ...back, ...clear]
  })
}

/**
 * What stands before any peer does: nothing for the network leaves in clear.
 *
 * @param own prefixes that are on this host, its blocks and addresses: without an interface to bind
 *   them to, policies are met by what goes to the bridge too
 */
export function basePolicies(
  subnets: readonly string[],
  own: readonly string[],
  ifId: number | undefined,
): Policy[] {
  const policy = (destination: string, priority: number, action: "block" | "allow"): Policy => ({
    source: familyOf(destination) === 6 ? "::/0" : "0.0.0.0/0",
    destination,
    direction: "out" as Direction,
    priority,
    action,
    ifId,
  })
  const block = subnets.map((subnet) => policy(subnet, BLOCK_PRIORITY, "block"))
  if (ifId !== undefined) return block
  return [...own.map((prefix) => policy(prefix, LOCAL_PRIORITY, "allow")), ...block]
}

/** By what policies exclude each other. */
export function policyKey({ direction, source, destination, ifId = 0 }: Policy): string {
  return `${direction} ${source} ${destination} ${ifId}`
}

/** Whether a policy in the kernel is the one that is wanted. */
export function samePolicy(wanted: Policy, found: Policy): boolean {
  if (wanted.priority !== found.priority) return false
  const { action: a } = wanted
  const { action: b } = found
  if (typeof a === "string" || typeof b === "string") return a === b
  return (
    a.source === b.source &&
    a.destination === b.destination &&
    a.reqid === b.reqid &&
    a.spi === b.spi
  )
}

/** Whether a policy in the kernel is one of this network's. */
export function isOfNetwork(
  policy: PolicyInfo,
  network: number,
  ifId: number | undefined,
  contains: (prefix: string) => boolean,
): boolean {
  const { action, priority, direction, source, destination } = policy
  if (ifId !== undefined) {
    const clear = action === "block" && priority === PEER_PRIORITY && direction !== "out"
    return policy.ifId === ifId || (policy.ifId === 0 && clear && contains(source))
  }
  if (policy.ifId !== 0) return false
  if (typeof action !== "string") return hostOfReqid(network, action.reqid) !== undefined
  if (direction !== "out") {
    return action === "block" && priority === BLOCK_PRIORITY && contains(source)
  }
  // Before a peer's keys are agreed on, its policy blocks.
  const ours = [PEER_PRIORITY, LOCAL_PRIORITY, BLOCK_PRIORITY]
  return ours.includes(priority) && contains(destination)
}
