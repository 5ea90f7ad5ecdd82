/** The kernel's routes to where peers are outside: a network's driver is no better than they. */

import type { RouteInfo } from "../netlink/route/route.ts"
import { lookUpRoutes } from "../netlink/route/route_lookup.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"

/** The route to each address, by it; undefined addresses are left out. @throws NetlinkError */
export function waysTo(
  socket: NetlinkSocket,
  remotes: readonly (string | undefined)[],
): ReadonlyMap<string, RouteInfo> {
  const known = new Set(remotes.filter((remote) => remote !== undefined))
  return lookUpRoutes(socket, [...known])
}

/**
 * Why nothing reaches an address by the route to it; undefined when something can.
 *
 * @param device index of the network's own device
 */
export function wayTrouble(
  way: Pick<RouteInfo, "index"> | undefined,
  device: number,
): string | undefined {
  if (way?.index === undefined) return "this host has no route to its address"
  return way.index === device ? "the route to its address leads into the network" : undefined
}
