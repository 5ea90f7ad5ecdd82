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
import { KernelTable, settle } from "./kernel_table.ts"

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
  readonly #subnets
  /** Those of an earlier instance are found by their protocol number, and lie in the subnets. */
  readonly table: KernelTable<Row>

  /**
   * @param subnets the network's; every route here leads into one of them
   * @throws LariatError config-invalid
   */
  constructor(socket: NetlinkSocket, subnets: readonly string[]) {
    this.#subnets = subnets.map(parsePrefix)
    this.table = new KernelTable<Row>(socket, {
      what: "route",
      key: ({ dst, priority }) => `${dst} ${priority}`,
      describe,
      same,
      add: (row) => newRoute({ ...row, protocol: RTPROT_LARIAT }, { replace: true }),
      remove: (row) => deleteRoute({ ...row, protocol: RTPROT_LARIAT }),
      list: () =>
        listRoutes(socket, { table: RT_TABLE_MAIN })
          .filter((info) => info.protocol === RTPROT_LARIAT && this.contains(info.dst))
          .map(rowOf),
    })
    this.#wantFallback()
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
   * Says which routes lead to a host, all of them; prefixes outside the network's subnets are left
   * out. A block that another host had passes over in one step.
   */
  desired(hostId: string, routes: readonly OverlayRoute[]): void {
    const rows = routes
      .filter(({ dst }) => this.contains(dst))
      .map(({ via, source, ...route }) => ({
        ...route,
        gateway: via,
        preferredSource: source,
        type: RTN_UNICAST,
        priority: PEER_METRIC,
      }))
    this.table.desired(hostId, rows)
  }

  /** Takes every route out that nobody wants, then all others and the fallback. @throws NetlinkError */
  clear(): void {
    this.table.load()
    this.table.sweep()
    settle([this.table])
    this.table.clear()
    this.#wantFallback()
  }

  #wantFallback(): void {
    this.table.desired(
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
