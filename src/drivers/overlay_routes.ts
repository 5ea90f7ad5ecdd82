/**
 * The routes of a network between hosts: to each block of a peer, and for all else of its subnets
 * `unreachable`, so that nothing leaves by the default route in clear.
 *
 * **Metrics.** Peers' routes have one of their own, so that making or replacing one never touches
 * a route that somebody else made for the same prefix. The fallback has the worst: the bridge's
 * connected route to the whole subnet, where there is one, comes first and works as before.
 */

import { formatPrefix, parsePrefix, prefixesOverlap } from "../core/address.ts"
import { RT_TABLE_MAIN, RTN_UNICAST, RTN_UNREACHABLE } from "../netlink/constants.ts"
import { deleteRoute, listRoutes, newRoute, type RouteRequest } from "../netlink/route/route.ts"
import type { RouteInfo } from "../netlink/route/route_codec.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { KernelTable, type Settled, settle } from "./kernel_table.ts"

/** RTM_F_* number of our routes (`proto`); free in /etc/iproute2/rt_protos. */
const RTPROT_LARIAT = 76
/** Metric of routes to peers' blocks. */
const PEER_METRIC = 76
/** Metric of `unreachable`: no other route to the same prefix is worse. */
const FALLBACK_METRIC = 0x7fff_ffff
/** linux/rtnetlink.h RTNH_F_ONLINK, as the kernel tells it in a route's flags. */
const ONLINK = 4

/** The way to one block. */
export interface OverlayRoute {
  /** Prefix, canonical. */
  readonly dst: string
  /** Index of the link that it leaves by. */
  readonly index: number
  /** Next hop; undefined where the device itself knows the way (WireGuard, XFRM). */
  readonly via?: string | undefined
  /** The next hop is on the link though no prefix of it says so. Default false. */
  readonly onlink?: boolean | undefined
  /** Source of what the host itself sends there: its own overlay address. */
  readonly source?: string | undefined
  /** Where it is less than the link's, bytes. */
  readonly mtu?: number | undefined
}

/** A route of ours, wanted or found. */
type Row = Pick<
  RouteRequest,
  "dst" | "gateway" | "index" | "preferredSource" | "mtu" | "onlink" | "type" | "priority"
>

/** The owner of what stands before any peer does. */
const FALLBACK = " fallback"

export class OverlayRoutes {
  readonly #socket: NetlinkSocket
  readonly #subnets
  readonly #table = new KernelTable<Row>({
    what: "route",
    key: ({ dst, priority }) => `${dst} ${priority}`,
    describe,
    same,
    add: (row) => newRoute({ ...row, protocol: RTPROT_LARIAT }, { replace: true }),
    remove: (row) => deleteRoute({ ...row, protocol: RTPROT_LARIAT }),
  })

  /**
   * @param subnets the network's; every route here leads into one of them
   * @throws LariatError config-invalid
   */
  constructor(socket: NetlinkSocket, subnets: readonly string[]) {
    this.#socket = socket
    this.#subnets = subnets.map(parsePrefix)
    this.#wantFallback()
  }

  /** What {@link settle} brings to the kernel, together with other tables. */
  get table(): Settled {
    return this.#table
  }

  /** Whether a prefix lies within the network's subnets. Text that is no prefix does not. */
  contains(dst: string): boolean {
    try {
      const prefix = parsePrefix(dst)
      return this.#subnets.some(
        (subnet) => prefix.length >= subnet.length && prefixesOverlap(subnet, prefix),
      )
    } catch {
      return false
    }
  }

  /**
   * Reads the kernel's. Those of an earlier instance are found by their protocol number and lie
   * within the subnets; they stay until {@link repair}.
   *
   * @throws NetlinkError
   */
  load(): void {
    const ours = listRoutes(this.#socket, { table: RT_TABLE_MAIN }).filter(
      (info) => info.protocol === RTPROT_LARIAT && this.contains(info.dst),
    )
    this.#table.observed(ours.map(rowOf))
    this.#wantFallback()
  }

  /**
   * Takes note of what an owner wants, all of it; {@link settle} or {@link put} brings it to the
   * kernel. A block that another owner had passes over in one step.
   *
   * @param owner a host's id
   * @returns what was refused: prefixes outside the network's subnets
   */
  desired(owner: string, routes: readonly OverlayRoute[]): readonly string[] {
    const inside = routes.filter(({ dst }) => this.contains(dst))
    this.#table.desired(
      owner,
      inside.map(({ via, source, ...route }) => ({
        ...route,
        gateway: via,
        preferredSource: source,
        type: RTN_UNICAST,
        priority: PEER_METRIC,
      })),
    )
    return routes.filter((route) => !inside.includes(route)).map(({ dst }) => dst)
  }

  /**
   * Makes what is missing and takes out what an owner wants no more, of what changed since the
   * last time; with nothing changed it asks nothing of the kernel.
   *
   * @returns what it did
   * @throws NetlinkError
   */
  settle(): string[] {
    return settle(this.#socket, [this.#table])
  }

  /** {@link desired} and {@link settle}. @throws NetlinkError */
  put(owner: string, routes: readonly OverlayRoute[]): void {
    this.desired(owner, routes)
    this.settle()
  }

  /** Takes an owner's routes out. @throws NetlinkError */
  remove(owner: string): void {
    this.put(owner, [])
  }

  /** Whether the kernel has all routes of an owner, as far as is known. */
  complete(owner: string): boolean {
    return this.#table.complete(owner)
  }

  /**
   * Reads the kernel's routes again, makes what is missing and takes out what nobody wants. To be
   * called when every peer that is known has been put.
   *
   * @returns what it mended
   * @throws NetlinkError
   */
  repair(): string[] {
    this.load()
    this.sweep()
    return this.settle()
  }

  /** Marks what nobody wants: it goes with the next {@link settle}. */
  sweep(): void {
    this.#table.sweep()
  }

  /** Takes every route out, the fallback last; {@link load} wants it again. @throws NetlinkError */
  clear(): void {
    this.#table.forget()
    this.#wantFallback()
    this.repair()
    this.#table.forget()
    this.settle()
  }

  #wantFallback(): void {
    this.#table.desired(
      FALLBACK,
      this.#subnets.map((subnet) => ({
        dst: formatPrefix(subnet),
        type: RTN_UNREACHABLE,
        priority: FALLBACK_METRIC,
      })),
    )
  }
}

function rowOf(info: RouteInfo): Row {
  const { dst, gateway, index, preferredSource, mtu, type, priority, flags } = info
  const onlink = (flags & ONLINK) !== 0
  return { dst, gateway, index, preferredSource, mtu, type, priority, onlink }
}

function same(wanted: Row, found: Row): boolean {
  if (wanted.type !== found.type) return false
  // The kernel names a link for unreachable IPv6 prefixes, which nobody asked for.
  if (wanted.type !== RTN_UNICAST) return true
  return (
    wanted.gateway === found.gateway &&
    wanted.index === found.index &&
    wanted.preferredSource === found.preferredSource &&
    wanted.mtu === found.mtu &&
    (wanted.onlink ?? false) === (found.onlink ?? false)
  )
}

function describe({ dst, gateway, type }: Row): string {
  if (type === RTN_UNREACHABLE) return `unreachable ${dst}`
  return gateway === undefined ? dst : `${dst} via ${gateway}`
}
