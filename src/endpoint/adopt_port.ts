/**
 * Giving an address to an interface that another engine made: a container of Docker keeps its
 * address on docker0 and its default route, and gets ours beside them.
 */

import { parseMac } from "../core/mac.ts"
import { runAll } from "../errors.ts"
import { RT_SCOPE_LINK } from "../netlink/constants.ts"
import type { MessageWriter } from "../netlink/message.ts"
import { deleteAddress, listAddresses } from "../netlink/route/addr.ts"
import { changeLink, getLink, type LinkChange, type LinkInfo } from "../netlink/route/link.ts"
import { netnsIdOf } from "../netlink/route/nsid.ts"
import { deleteRoute, newRoute } from "../netlink/route/route.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, ESRCH } from "../sys/ffi/errno.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { addressMessages, routeRequests, usesIpv6 } from "./container_batch.ts"
import { settleIpv6 } from "./container_end.ts"
import { ifnameExists } from "./create_port.ts"
import { LIVE_GROUP, PARKED_GROUP } from "./host_link.ts"
import { enableIpv6 } from "./ipv6.ts"
import { type Kernel, openInside } from "./kernel.ts"
import type { AdoptedPort, RouteSpec } from "./port.ts"
import { failAfterUndo } from "./undo.ts"

/** What an adopted interface gets. */
export interface AdoptSpec {
  readonly ifname: string
  /** The bridge that its other end must be a port of. */
  readonly bridgeIndex: number
  /** With prefix length, added beside those it has. */
  readonly addresses: readonly string[]
  /** Those that are there already are left as they are. */
  readonly routes: readonly RouteSpec[]
  /** Default: keep its own. */
  readonly mac?: string | undefined
  /** Of both ends, bytes. Default: keep its own. */
  readonly mtu?: number | undefined
}

/** What `releaseAdopted` takes back. */
export type ReleaseSpec = Pick<AdoptSpec, "ifname" | "addresses" | "routes">

/**
 * Adds addresses and routes to an interface of the container.
 *
 * @returns undefined when the container has no interface of that name
 * @throws LariatError ifname-exists when it is no veth whose peer is a port of the bridge, or is
 * one of Lariat's own; NetlinkError. The interface is as it was then
 */
export function adoptPort(kernel: Kernel, netns: Netns, spec: AdoptSpec): AdoptedPort | undefined {
  const socket = openInside(netns)
  try {
    const link = getLink(socket, spec.ifname)
    if (link === undefined) return undefined
    const host = peerInHost(kernel, socket, link)
    const ours = host?.group === LIVE_GROUP || host?.group === PARKED_GROUP
    if (host === undefined || host.master !== spec.bridgeIndex || ours) {
      throw ifnameExists(spec.ifname)
    }
    const own = listAddresses(socket, link.index)
      .filter(({ scope }) => scope !== RT_SCOPE_LINK)
      .map(({ address }) => address)
    if (usesIpv6(spec.addresses)) enableIpv6(netns, spec.ifname)
    const change = hostMtuChange(host, spec.mtu)
    kernel.apply(change)
    try {
      run(socket, spec.ifname, stepsOf(link, spec, own))
    } catch (error) {
      const back = [() => void kernel.apply([changeLink(host.index, { mtu: host.mtu })])]
      failAfterUndo(`adopting ${spec.ifname}`, error, change.length === 0 ? [] : back)
    }
    settleIpv6(socket, spec.addresses)
    return {
      containerIndex: link.index,
      hostName: host.name,
      hostIndex: host.index,
      mac: spec.mac ?? link.mac,
      mtu: spec.mtu ?? link.mtu,
      ownAddresses: own.filter((address) => !spec.addresses.includes(address)),
    }
  } finally {
    socket.close()
  }
}

/**
 * Takes the addresses and routes away again. What is gone already is as good, the interface and
 * the container too; MAC and MTU stay.
 *
 * @throws TeardownError of all that the kernel refused
 */
export function releaseAdopted(netns: Netns, spec: ReleaseSpec): void {
  const socket = openInside(netns)
  try {
    const link = getLink(socket, spec.ifname)
    if (link === undefined) return
    const { index } = link
    const messages = [
      ...routeRequests(index, spec.routes, []).map((route) => deleteRoute(route)),
      ...spec.addresses.map((address) => deleteAddress(index, address)),
    ]
    const steps = messages.map((message) => () => void socket.attempt(message, ...GONE))
    runAll(`releasing ${spec.ifname}`, steps)
  } finally {
    socket.close()
  }
}

/** A bridge knows the sizes of its ports' host ends alone: what it lets through must fit inside. */
function hostMtuChange(host: LinkInfo, mtu: number | undefined): MessageWriter[] {
  if (mtu === undefined || host.mtu === mtu) return []
  return [changeLink(host.index, { mtu }, `set the MTU of ${host.name}`)]
}

/** The other end of a veth, when that is in the namespace of `kernel`. */
function peerInHost(kernel: Kernel, socket: NetlinkSocket, link: LinkInfo): LinkInfo | undefined {
  if (link.kind !== "veth" || link.link === undefined) return undefined
  const hostId = netnsIdOf(socket, kernel.netns.fd)
  if (hostId === undefined || link.linkNetnsId !== hostId) return undefined
  const host = kernel.link(link.link)
  // Both ends must name each other.
  return host?.kind === "veth" && host.link === link.index ? host : undefined
}

/** One change and what takes it back. */
interface Step {
  readonly change: MessageWriter
  readonly reverse: MessageWriter
  /** Whether "exists" is as good as done. */
  readonly mayExist: boolean
}

function stepsOf(link: LinkInfo, spec: AdoptSpec, own: readonly string[]): Step[] {
  const { index } = link
  const missing = spec.addresses.filter((address) => !own.includes(address))
  const addresses = addressMessages(index, missing).map((change, at) => {
    return { change, reverse: deleteAddress(index, missing[at] ?? ""), mayExist: true }
  })
  const all = [...own, ...spec.addresses]
  const routes = routeRequests(index, spec.routes, all).map((route) => {
    return { change: newRoute(route), reverse: deleteRoute(route), mayExist: true }
  })
  return [...linkStep(link, spec), ...addresses, ...routes]
}

function linkStep(link: LinkInfo, spec: AdoptSpec): Step[] {
  const change: LinkChange = {
    mac: spec.mac === undefined || spec.mac === link.mac ? undefined : parseMac(spec.mac),
    mtu: spec.mtu === link.mtu ? undefined : spec.mtu,
    up: link.up ? undefined : true,
  }
  if (Object.values(change).every((value) => value === undefined)) return []
  const before: LinkChange = { mac: parseMac(link.mac), mtu: link.mtu, up: link.up }
  return [
    {
      change: changeLink(link.index, change, `set up ${spec.ifname}`),
      reverse: changeLink(link.index, before, `set ${spec.ifname} back`),
      mayExist: false,
    },
  ]
}

function run(socket: NetlinkSocket, ifname: string, steps: readonly Step[]): void {
  const undo: (() => void)[] = []
  for (const { change, reverse, mayExist } of steps) {
    const error = socket.tryAll([change])[0]?.error
    if (error === undefined) undo.unshift(() => void socket.attempt(reverse, ...GONE))
    else if (!(mayExist && error.errno === EEXIST)) {
      failAfterUndo(`adopting ${ifname}`, error, undo)
    }
  }
}

/** What the kernel says of an address, route or link that is not there. */
const GONE: readonly number[] = [EADDRNOTAVAIL, ESRCH, ENOENT, ENODEV]
