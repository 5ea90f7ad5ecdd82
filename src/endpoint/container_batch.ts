/** Messages that give a container's interface its addresses and routes. */

import { familyOf, parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { RTPROT_STATIC } from "../netlink/constants.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { newAddress } from "../netlink/route/addr.ts"
import type { RouteRequest } from "../netlink/route/route.ts"
import type { RouteSpec } from "./port.ts"

/** The messages that add addresses, ready at once (no duplicate address detection). */
export function addressMessages(index: number, addresses: readonly string[]): MessageWriter[] {
  return addresses.map((address) => newAddress(index, address))
}

/**
 * Routes as the kernel wants them, in an order that works: those on the link come first, gateways
 * may be behind them. A gateway outside every prefix of the interface, as with a /32 address, is
 * taken to be on the link: the kernel would refuse it otherwise. All are marked "static", which
 * tells them from routes of other engines when they are taken away.
 *
 * @throws LariatError code `config-invalid`
 */
export function routeRequests(
  index: number,
  routes: readonly RouteSpec[],
  addresses: readonly string[],
): RouteRequest[] {
  const prefixes = addresses.map(parsePrefix)
  const requests = routes.map(({ gw, ...route }): RouteRequest => {
    const gateway = gw === undefined ? undefined : parseAddress(gw)
    const onlink =
      gateway !== undefined && !prefixes.some((prefix) => prefixContains(prefix, gateway))
    return { ...route, gateway: gw, index, onlink, protocol: RTPROT_STATIC }
  })
  const behind = requests.filter(({ gateway }) => gateway !== undefined)
  return [...requests.filter(({ gateway }) => gateway === undefined), ...behind]
}

/** Whether any of the addresses is IPv6. */
export function usesIpv6(addresses: readonly string[]): boolean {
  return addresses.some((address) => familyOf(address) === 6)
}
