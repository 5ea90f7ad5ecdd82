/** One network namespace's links, addresses and routes, through one rtnetlink socket. */

import { NETLINK_ROUTE } from "../netlink/constants.ts"
import type { Message, MessageWriter } from "../netlink/message.ts"
import { type AddressInfo, listAddresses } from "../netlink/route/addr.ts"
import {
  getLink,
  type LinkFilter,
  type LinkInfo,
  type LinkRef,
  listLinks,
} from "../netlink/route/link.ts"
import { listRoutes, type RouteFilter, type RouteInfo, routeTo } from "../netlink/route/route.ts"
import { NetlinkSocket, type Outcome } from "../netlink/socket.ts"
import { currentNetns, type Netns } from "../sys/netns/netns.ts"

export class Kernel {
  readonly socket: NetlinkSocket
  /** The namespace the socket works on. */
  readonly netns: Netns
  readonly #closers: (() => void)[] = []

  private constructor(socket: NetlinkSocket, netns: Netns) {
    this.socket = socket
    this.netns = netns
  }

  /** Opens the current namespace. @throws SystemError */
  static open(): Kernel {
    const netns = currentNetns()
    try {
      return new Kernel(NetlinkSocket.open(NETLINK_ROUTE), netns)
    } catch (error) {
      netns.close()
      throw error
    }
  }

  /** A link, or undefined when there is none. @throws NetlinkError */
  link(link: LinkRef): LinkInfo | undefined {
    return getLink(this.socket, link)
  }

  /** The links that fit, all by default. @throws NetlinkError */
  links(filter: LinkFilter = {}): LinkInfo[] {
    return listLinks(this.socket, filter)
  }

  /** The addresses of a link, or of all (index 0). @throws NetlinkError */
  addresses(index = 0): AddressInfo[] {
    return listAddresses(this.socket, index)
  }

  /** The routes that fit, of all tables by default. @throws NetlinkError */
  routes(filter: RouteFilter = {}): RouteInfo[] {
    return listRoutes(this.socket, filter)
  }

  /** The route to an address, or undefined. @throws NetlinkError */
  routeTo(address: string): RouteInfo | undefined {
    return routeTo(this.socket, address)
  }

  /** Does all of it, in order. @throws NetlinkError of the first that the kernel refused */
  apply(batch: readonly MessageWriter[]): (readonly Message[])[] {
    return this.socket.requestAll(batch, { inOrder: true })
  }

  /** Does all of it, in order; refusals stand beside their message. @throws NetlinkError */
  tryAll(batch: readonly MessageWriter[]): readonly Outcome[] {
    return this.socket.tryAll(batch, { inOrder: true })
  }

  /** Registers what is to be closed with this. */
  onClose(closer: () => void): void {
    this.#closers.push(closer)
  }

  close(): void {
    for (const closer of this.#closers.splice(0)) closer()
    this.socket.close()
    this.netns.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** A socket for the links, addresses and routes of a container's namespace. @throws SystemError */
export function openInside(netns: Netns): NetlinkSocket {
  return NetlinkSocket.open(NETLINK_ROUTE, { netns })
}
