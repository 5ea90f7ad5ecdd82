/** Routes: what can be asked of the kernel about them. */

import { type Family, networkOf, parseAddress, parsePrefix } from "../../core/address.ts"
import { EHOSTUNREACH, ENETUNREACH, EOPNOTSUPP } from "../../sys/ffi/errno.ts"
import { familyNumber } from "../addr_codec.ts"
import * as c from "../constants.ts"
import { MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import { decodeRoute, putRoute, type RouteInfo } from "./route_codec.ts"
import { queryRoute } from "./route_lookup.ts"

export type { RouteInfo } from "./route_codec.ts"

/** A route to make or delete. Addresses are text. */
export interface RouteRequest {
  /** Prefix; its host bits are cleared. */
  readonly dst: string
  readonly gateway?: string | undefined
  /** Index of the link it leaves by; needed unless the type is blackhole or unreachable. */
  readonly index?: number | undefined
  /** Default: the main table, 254. */
  readonly table?: number | undefined
  /** Default: universe with a gateway or in IPv6, else link. */
  readonly scope?: number | undefined
  /** Default: RTPROT_BOOT in what is made, any in what is deleted. */
  readonly protocol?: number | undefined
  /** RTN_*. Default: unicast. */
  readonly type?: number | undefined
  readonly priority?: number | undefined
  readonly preferredSource?: string | undefined
  /** Bytes. */
  readonly mtu?: number | undefined
  /** Bytes. */
  readonly advmss?: number | undefined
  readonly onlink?: boolean | undefined
}

export interface NewRouteOptions {
  /** Take the place of a route with the same destination and priority. Default false. */
  readonly replace?: boolean
}

export interface RouteFilter {
  readonly family?: Family
  readonly table?: number
  readonly index?: number
}

/**
 * The message that makes a route. Without `replace` it fails with EEXIST when there is one with
 * the same destination and priority.
 *
 * @throws LariatError code `config-invalid` when an address is none
 */
export function newRoute(route: RouteRequest, options: NewRouteOptions = {}): MessageWriter {
  const existing = options.replace ? c.NLM_F_REPLACE : c.NLM_F_EXCL
  const writer = new MessageWriter(c.RTM_NEWROUTE, c.NLM_F_CREATE | existing, {
    operation: `add route ${describe(route)}`,
  })
  put(writer, route, { protocol: c.RTPROT_BOOT, type: c.RTN_UNICAST })
  return writer
}

/** The message that deletes the first route that fits; ESRCH when none does. */
export function deleteRoute(route: RouteRequest): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELROUTE, 0, {
    operation: `delete route ${describe(route)}`,
  })
  // Unspecified protocol and type fit every route.
  put(writer, { scope: ANY_SCOPE, ...route }, { protocol: c.RTPROT_UNSPEC, type: c.RTN_UNSPEC })
  return writer
}

/**
 * The route that the kernel takes to an address, or undefined when it has none.
 *
 * @throws NetlinkError
 */
export function routeTo(socket: NetlinkSocket, address: string): RouteInfo | undefined {
  // The last is what a kernel without IPv6 says (ipv6.disable=1).
  const answer = socket.attempt(queryRoute(address), ENETUNREACH, EHOSTUNREACH, EOPNOTSUPP)
  return answer === undefined ? undefined : decodeRoute(answer)
}

/**
 * The routes of the socket's namespace that fit the filter, those of all tables when it names none.
 *
 * @throws NetlinkError
 */
export function listRoutes(socket: NetlinkSocket, filter: RouteFilter = {}): RouteInfo[] {
  const writer = new MessageWriter(c.RTM_GETROUTE, 0, { operation: "list routes" })
  writer.u8(filter.family === undefined ? c.AF_UNSPEC : familyNumber(filter.family)).zeros(11)
  const found: RouteInfo[] = []
  for (const message of socket.dump(writer)) {
    const info = message.type === c.RTM_NEWROUTE ? decodeRoute(message) : undefined
    if (info !== undefined && fits(info, filter)) found.push(info)
  }
  return found
}

/** RT_SCOPE_NOWHERE of rtnetlink.h: in a deletion it fits every scope. */
const ANY_SCOPE = 255

function put(
  writer: MessageWriter,
  route: RouteRequest,
  defaults: { readonly protocol: number; readonly type: number },
): void {
  const dst = networkOf(parsePrefix(route.dst))
  const gateway = route.gateway === undefined ? undefined : parseAddress(route.gateway)
  const source = route.preferredSource
  const type = route.type ?? defaults.type
  const onLink = gateway === undefined && dst.family === 4 && type === c.RTN_UNICAST
  putRoute(writer, {
    ...route,
    dst,
    gateway,
    preferredSource: source === undefined ? undefined : parseAddress(source),
    table: route.table ?? c.RT_TABLE_MAIN,
    scope: route.scope ?? (onLink ? c.RT_SCOPE_LINK : c.RT_SCOPE_UNIVERSE),
    protocol: route.protocol ?? defaults.protocol,
    type,
  })
}

function fits(info: RouteInfo, { table, index }: RouteFilter): boolean {
  // Clones are cached exceptions (path MTU), not configuration.
  if ((info.flags & c.RTM_F_CLONED) !== 0) return false
  return info.table === (table ?? info.table) && (index === undefined || info.index === index)
}

function describe({ dst, gateway, index }: RouteRequest): string {
  const via = gateway === undefined ? "" : ` via ${gateway}`
  return `${dst}${via}${index === undefined ? "" : ` on link ${index}`}`
}
