/** Routes that another interface of the container had until it went. */

import { getLink } from "../netlink/route/link.ts"
import { newRoute } from "../netlink/route/route.ts"
import { EEXIST } from "../sys/ffi/errno.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { routeRequests } from "./container_batch.ts"
import { openInside } from "./kernel.ts"
import type { RouteSpec } from "./port.ts"

/** An interface of a container that is left. */
export interface InterfaceLeft {
  readonly ifname: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly routes: readonly RouteSpec[]
}

/**
 * Gives interfaces the routes that they were to have and another one was first with, in this order:
 * a container that leaves one network goes on reaching the world by the next.
 *
 * @throws NetlinkError
 */
export function inheritRoutes(netns: Netns, interfaces: readonly InterfaceLeft[]): void {
  const socket = openInside(netns)
  try {
    for (const { ifname, addresses, routes } of interfaces) {
      const index = getLink(socket, ifname)?.index
      if (index === undefined) continue
      for (const request of routeRequests(index, routes, addresses)) {
        const [outcome] = socket.tryAll([newRoute(request)])
        if (outcome?.error !== undefined && outcome.error.errno !== EEXIST) throw outcome.error
      }
    }
  } finally {
    socket.close()
  }
}
