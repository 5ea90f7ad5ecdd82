/** The network between hosts, as this host sees it. */

import { parsePrefix } from "../core/address.ts"
import { RT_TABLE_MAIN, RTN_UNICAST } from "../netlink/constants.ts"
import type { RouteInfo } from "../netlink/route/route.ts"
import type { Kernel } from "./kernel.ts"

/** What Ethernet carries (IEEE 802.3), when nothing better is known. */
const DEFAULT_MTU = 1500

/**
 * The largest packet, in bytes, that leaves this host whole, and the index of the link that the
 * route uses: the MTU of that link, or of the route itself where it has a smaller one. 1500 and 0
 * when there is no default route.
 *
 * @throws NetlinkError
 */
export function underlay(kernel: Kernel): { readonly mtu: number; readonly index: number } {
  const route = defaultRoute(kernel)
  if (route?.index === undefined) return { mtu: DEFAULT_MTU, index: 0 }
  const { index } = route
  const link = kernel.link(index)
  if (link === undefined || link.mtu === 0) return { mtu: DEFAULT_MTU, index }
  return { mtu: Math.min(link.mtu, route.mtu ?? link.mtu), index }
}

/** The main table's default route that the kernel would take: IPv4 first, then by priority. */
function defaultRoute(kernel: Kernel): RouteInfo | undefined {
  return kernel
    .routes({ table: RT_TABLE_MAIN })
    .filter((route) => route.type === RTN_UNICAST && parsePrefix(route.dst).length === 0)
    .toSorted((a, b) => a.family - b.family || a.priority - b.priority)
    .at(0)
}
