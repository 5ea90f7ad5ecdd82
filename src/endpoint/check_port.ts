/** Comparing a port with what it should be. */

import { formatPrefix, networkOf, parsePrefix } from "../core/address.ts"
import { RT_TABLE_MAIN } from "../netlink/constants.ts"
import { listAddresses } from "../netlink/route/addr.ts"
import { getLink, type LinkInfo } from "../netlink/route/link.ts"
import { listRoutes, type RouteInfo } from "../netlink/route/route.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { type Kernel, openInside } from "./kernel.ts"
import type { RouteSpec } from "./port.ts"

/** What a port should be. Addresses are canonical text. */
export interface ExpectedPort {
  readonly hostName: string
  /** Default: any. */
  readonly hostIndex?: number | undefined
  readonly bridgeIndex: number
  readonly ifname: string
  /** Default: any. */
  readonly containerIndex?: number | undefined
  /** Default: any. */
  readonly mac?: string | undefined
  /** Of the container's end, bytes. Default: any. */
  readonly mtu?: number | undefined
  readonly addresses: readonly string[]
  readonly routes: readonly RouteSpec[]
  /** The interface is another engine's: its own routes come before ours. Default false. */
  readonly adopted?: boolean | undefined
}

/**
 * Compares both ends, addresses and routes. What later plugins added beside them is fine.
 *
 * @returns the differences, a sentence each; empty when all is as it should be
 * @throws NetlinkError, SystemError
 */
export function checkPort(kernel: Kernel, netns: Netns, expected: ExpectedPort): string[] {
  const socket = openInside(netns)
  try {
    const inside = getLink(socket, expected.ifname)
    const host = checkHost(kernel, expected)
    if (inside === undefined) return [...host, `The container has no interface ${expected.ifname}.`]
    return [
      ...host,
      ...checkInside(inside, expected),
      ...checkAddresses(socket, inside, expected),
      ...checkRoutes(socket, inside, expected),
    ]
  } finally {
    socket.close()
  }
}

function checkHost(kernel: Kernel, expected: ExpectedPort): string[] {
  const { hostName: name, hostIndex, bridgeIndex } = expected
  const link = kernel.link(name)
  if (link === undefined) return [`The host has no interface ${name}.`]
  const found: string[] = []
  if (hostIndex !== undefined && link.index !== hostIndex) {
    found.push(
      `${name} is another interface than before: its index is ${link.index}, not ${hostIndex}.`,
    )
  }
  if (link.master !== bridgeIndex) {
    const now = link.master === 0 ? "no port of any bridge" : `a port of bridge ${link.master}`
    found.push(`${name} is ${now}; it should be one of bridge ${bridgeIndex}.`)
  }
  if (!link.up) found.push(`${name} is down.`)
  return found
}

function checkInside(link: LinkInfo, expected: ExpectedPort): string[] {
  const { ifname, containerIndex, mac, mtu } = expected
  const found: string[] = []
  if (containerIndex !== undefined && link.index !== containerIndex) {
    found.push(
      `${ifname} is another interface than before: its index is ${link.index}, not ${containerIndex}.`,
    )
  }
  if (mac !== undefined && link.mac !== mac) {
    found.push(`${ifname} has MAC address ${link.mac} and should have ${mac}.`)
  }
  if (mtu !== undefined && link.mtu !== mtu) {
    found.push(`${ifname} has MTU ${link.mtu} and should have ${mtu}.`)
  }
  if (!link.up) found.push(`${ifname} is down.`)
  return found
}

function checkAddresses(socket: NetlinkSocket, link: LinkInfo, expected: ExpectedPort): string[] {
  const present = listAddresses(socket, link.index).map(({ address }) => address)
  return expected.addresses
    .filter((address) => !present.includes(address))
    .map((address) => `${expected.ifname} has lost the address ${address}.`)
}

function checkRoutes(socket: NetlinkSocket, link: LinkInfo, expected: ExpectedPort): string[] {
  if (expected.routes.length === 0) return []
  const present = listRoutes(socket)
  return expected.routes
    .filter(
      (route) => !present.some((info) => serves(info, link, route, expected.adopted ?? false)),
    )
    .map(({ dst, gw }) => `The route to ${dst}${gw === undefined ? "" : ` via ${gw}`} is gone.`)
}

/**
 * Whether a route is the one asked for, or the one that was there before it: of two with the same
 * destination the first stays, when another interface had it or another engine made it.
 */
function serves(info: RouteInfo, link: LinkInfo, route: RouteSpec, adopted: boolean): boolean {
  if (info.dst !== formatPrefix(networkOf(parsePrefix(route.dst)))) return false
  if (info.table !== (route.table ?? RT_TABLE_MAIN)) return false
  if (adopted || info.index !== link.index) return true
  return info.gateway === route.gw
}
