import {
  familyOf,
  hostPrefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../core/address.ts"
import type { RouteSpec } from "../../endpoint/port.ts"

/**
 * Whether packets to an address of this host come here: by the narrowest route that has it, which
 * leads to the link itself, where this host answers, or to an address that this host has there.
 *
 * @param isOurs whether an address is this host's
 */
export function leadsHere(
  address: string,
  routes: readonly RouteSpec[],
  isOurs: (address: string) => boolean,
): boolean {
  const parsed = parseAddress(address)
  const [best] = routes
    .map((route) => ({ route, prefix: parsePrefix(route.dst) }))
    .filter(({ prefix }) => prefixContains(prefix, parsed))
    .sort((a, b) => b.prefix.length - a.prefix.length)
  if (best === undefined) return false
  const { gw } = best.route
  return gw === undefined || isOurs(gw)
}

/**
 * The routes that a container needs beside its own to reach this host's services, where its
 * default route leads to another router: by this host's address on the same link.
 *
 * @param services addresses of this host
 * @param addresses the container's, with prefix length
 * @param ours this host's on the bridge, without prefix length
 */
export function serviceRoutes(
  services: readonly string[],
  addresses: readonly string[],
  routes: readonly RouteSpec[],
  ours: readonly string[],
): RouteSpec[] {
  const links = addresses.map(parsePrefix)
  return [...new Set(services)].flatMap((service) => {
    const dst = hostPrefix(service)
    const isSaid = routes.some((route) => route.dst === dst)
    if (isSaid || leadsHere(service, routes, (gw) => ours.includes(gw))) return []
    const gw = ours.find(
      (address) =>
        familyOf(address) === familyOf(service) &&
        links.some((link) => prefixContains(link, parseAddress(address))),
    )
    return gw === undefined ? [] : [{ dst, gw }]
  })
}
