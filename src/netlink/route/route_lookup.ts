/** The routes that the kernel takes to many addresses, asked for in one datagram. */

import { parseAddress } from "../../core/address.ts"
import { familyNumber } from "../addr_codec.ts"
import * as c from "../constants.ts"
import { MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import { decodeRoute, type RouteInfo } from "./route_codec.ts"

/** Requests in one datagram: an answer is about 100 bytes, and costs 800 of the socket's buffer. */
const BATCH = 1000

/**
 * The route to each address; an address without one is not in the map, for whatever reason the
 * kernel gave.
 *
 * @throws NetlinkError the kernel did not answer; LariatError config-invalid for what is no address
 */
export function lookUpRoutes(
  socket: NetlinkSocket,
  addresses: readonly string[],
): Map<string, RouteInfo> {
  const found = new Map<string, RouteInfo>()
  for (let at = 0; at < addresses.length; at += BATCH) {
    const batch = addresses.slice(at, at + BATCH)
    for (const [i, { answers }] of socket.tryAll(batch.map(queryRoute)).entries()) {
      const address = batch[i]
      const route = answers[0] === undefined ? undefined : decodeRoute(answers[0])
      if (address !== undefined && route !== undefined) found.set(address, route)
    }
  }
  return found
}

/** The message that asks for the route to an address; ENETUNREACH and others when there is none. */
export function queryRoute(address: string): MessageWriter {
  const { family, bytes } = parseAddress(address)
  return new MessageWriter(c.RTM_GETROUTE, 0, { operation: `find the route to ${address}` })
    .u8(familyNumber(family))
    .u8(bytes.byteLength * 8)
    .zeros(10)
    .attr(c.RTA_DST, bytes)
}
