/** Messages that give a container's interface its addresses and routes. */

import { parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { newAddress } from "../netlink/addr.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { newRoute, type RouteRequest } from "../netlink/route.ts"
import type { RouteSpec } from "./port.ts"

/** The messages that add addresses, ready at once (no duplicate address detection). */
export function addressMessages(index: number, addresses: readonly string[]): MessageWriter[] {
  return addresses.map((address) => newAddress(index, address))
}

/**
 * The route as the kernel wants it. A gateway outside every prefix of the interface, as with a
 * /32 address, is taken to be on the link: the kernel would refuse it otherwise.
 *
 * @throws LariatError code `config-invalid`
 */
export function routeRequest(
  index: number,
  route: RouteSpec,
  addresses: readonly string[],
): RouteRequest {
  const { dst, gw, ...rest } = route
  const gateway = gw === undefined ? undefined : parseAddress(gw)
  const onlink =
    gateway !== undefined &&
    !addresses.some((address) => prefixContains(parsePrefix(address), gateway))
  return { ...rest, dst, gateway: gw, index, onlink }
}

/** The messages that add routes; those on the link come first, gateways may be behind them. */
export function routeMessages(
  index: number,
  routes: readonly RouteSpec[],
  addresses: readonly string[],
): MessageWriter[] {
  const onLink = routes.filter(({ gw }) => gw === undefined)
  const behind = routes.filter(({ gw }) => gw !== undefined)
  return [...onLink, ...behind].map((route) => newRoute(routeRequest(index, route, addresses)))
}

/** Whether any of the addresses is IPv6. */
export function usesIpv6(addresses: readonly string[]): boolean {
  return addresses.some((address) => address.includes(":"))
}
