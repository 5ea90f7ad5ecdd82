/** Reading what a port is, from both of its ends. */

import { RT_SCOPE_LINK, RT_TABLE_MAIN, RTN_UNICAST } from "../netlink/constants.ts"
import { listAddresses } from "../netlink/route/addr.ts"
import { getLink, type LinkInfo } from "../netlink/route/link.ts"
import { netnsIdOf } from "../netlink/route/nsid.ts"
import { listRoutes } from "../netlink/route/route.ts"
import { type Netns, openNetns } from "../sys/netns/netns.ts"
import { type Kernel, openInside } from "./kernel.ts"
import type { RouteSpec } from "./port.ts"

/** The container's end of a port. */
export interface ContainerEnd {
  readonly netns: { readonly path: string; readonly dev: bigint; readonly ino: bigint }
  readonly mac: string
  /** Bytes. */
  readonly mtu: number
  /** With prefix length, without link-local ones. */
  readonly addresses: readonly string[]
  /** Through a gateway, of the main table. */
  readonly routes: readonly RouteSpec[]
}

/**
 * Finds the container's ends of ports, by the numbers that the host's namespace has for theirs.
 *
 * @param paths of the namespaces to look into; one that is gone is passed over
 * @returns by the index of the host's end
 */
export function containerEnds(
  kernel: Kernel,
  ports: readonly { readonly link: LinkInfo; readonly ifname: string }[],
  paths: readonly string[],
): Map<number, ContainerEnd> {
  const found = new Map<number, ContainerEnd>()
  for (const path of paths) {
    if (found.size === ports.length) break
    let netns: Netns
    try {
      netns = openNetns(path)
    } catch {
      continue
    }
    try {
      const id = netnsIdOf(kernel.socket, netns.fd)
      const here = ports.filter(({ link }) => id !== undefined && link.linkNetnsId === id)
      for (const { link, ifname } of here) {
        const end = readEnd(netns, ifname, link)
        if (end !== undefined) found.set(link.index, end)
      }
    } finally {
      netns.close()
    }
  }
  return found
}

function readEnd(netns: Netns, ifname: string, host: LinkInfo): ContainerEnd | undefined {
  const socket = openInside(netns)
  try {
    const link = getLink(socket, ifname)
    if (link === undefined || link.index !== host.link || link.link !== host.index) return undefined
    const { path, dev, ino } = netns
    return {
      netns: { path, dev, ino },
      mac: link.mac,
      mtu: link.mtu,
      addresses: listAddresses(socket, link.index)
        .filter(({ scope }) => scope !== RT_SCOPE_LINK)
        .map(({ address }) => address),
      routes: listRoutes(socket, { index: link.index, table: RT_TABLE_MAIN })
        .filter(({ type, gateway }) => type === RTN_UNICAST && gateway !== undefined)
        .map(({ dst, gateway }) => ({ dst, gw: gateway })),
    }
  } finally {
    socket.close()
  }
}
