/** The container's end of a port: bringing it up with addresses and routes. */

import { familyOf, formatAddress, parsePrefix } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { RTN_LOCAL } from "../netlink/constants.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { changeLink, queryLink } from "../netlink/route/link.ts"
import { decodeLink, type LinkInfo } from "../netlink/route/link_codec.ts"
import { newRoute, routeTo } from "../netlink/route/route.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { EEXIST } from "../sys/ffi/errno.ts"
import { libc } from "../sys/ffi/libc.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { addressMessages, routeRequests, usesIpv6 } from "./container_batch.ts"
import { enableIpv6, ignoreRouterAdvertisements, skipDuplicateDetection } from "./ipv6.ts"
import { openInside } from "./kernel.ts"
import type { PortSpec } from "./port.ts"

/** Queries of the local route without a pause, some 20 µs each, then with one of 1 ms. */
const SETTLE_QUERIES = 20
const SETTLE_PAUSES = 10

/**
 * Opens the container's namespace, and makes the settings there that only /proc/sys knows.
 *
 * @throws LariatError kernel-unsupported without IPv6 in the kernel; SystemError
 */
export function openContainer(netns: Netns, spec: PortSpec): NetlinkSocket {
  ignoreRouterAdvertisements(netns, spec.ifname)
  if (usesIpv6(spec.addresses)) {
    enableIpv6(netns, spec.ifname)
    skipDuplicateDetection(netns, spec.ifname)
  }
  return openInside(netns)
}

/**
 * Brings the interface up, with its addresses and routes. A route that is there already stays.
 *
 * @param socket of the container's namespace
 * @throws LariatError config-invalid; NetlinkError
 */
export function configureEnd(socket: NetlinkSocket, spec: PortSpec): LinkInfo {
  const { addresses, routes, ifname } = spec
  const link = bringUp(socket, ifname, usesIpv6(addresses))
  const inside = addressMessages(link.index, addresses)
  const around = routeRequests(link.index, routes, addresses).map((route) => newRoute(route))
  socket.tryAll([...inside, ...around], { inOrder: true }).forEach(({ error }, at) => {
    const mayExist = at >= inside.length
    if (error !== undefined && !(mayExist && error.errno === EEXIST)) throw error
  })
  return link
}

/** Brings a link up and reads it, in one exchange. */
function bringUp(socket: NetlinkSocket, ifname: string, ipv6: boolean): LinkInfo {
  const up = changeLink(ifname, { up: true }, `bring ${ifname} up`)
  const batch = [...(ipv6 ? [] : [withoutLinkLocal(ifname)]), up, queryLink(ifname)]
  const [raised, read] = socket.tryAll(batch, { inOrder: true }).slice(-2)
  if (raised?.error !== undefined) throw raised.error
  if (read?.error !== undefined) throw read.error
  const [answer] = read?.answers ?? []
  if (answer === undefined) throw vanished(ifname)
  return decodeLink(answer)
}

/**
 * Waits until the container takes packets to its IPv6 addresses, 10 ms at most. The kernel makes
 * their local routes in a work queue; the answer to a neighbour solicitation that comes earlier is
 * dropped, and the next solicitation follows a second later.
 *
 * @param socket of the container's namespace
 * @throws NetlinkError
 */
export function settleIpv6(socket: NetlinkSocket, addresses: readonly string[]): void {
  const waiting = addresses
    .filter((address) => familyOf(address) === 6)
    .map((address) => formatAddress(parsePrefix(address)))
  for (let query = 0; waiting.length > 0 && query < SETTLE_QUERIES + SETTLE_PAUSES; query++) {
    const [address = ""] = waiting
    if (routeTo(socket, address)?.type === RTN_LOCAL) waiting.shift()
    else if (query >= SETTLE_QUERIES) libc.poll(null, 0, 1)
  }
}

/**
 * A bridge's port needs no address of its own, and a container without IPv6 addresses none either:
 * what each one sends to make itself one goes to every port of the bridge. Kernels without IPv6
 * refuse this, which is as good.
 */
export function withoutLinkLocal(link: string): MessageWriter {
  return changeLink(link, { noLinkLocal: true })
}

/** The error for a link that was there a moment before. */
export function vanished(link: string): LariatError {
  return new LariatError(`Cannot find ${link}: somebody deleted it as soon as it was made`, {
    code: "kernel",
    hint: "Look for another program that removes interfaces.",
  })
}
