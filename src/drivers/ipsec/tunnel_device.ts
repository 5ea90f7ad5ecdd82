/**
 * The device that remote blocks are routed to. An XFRM interface where the kernel has them: it
 * counts, has the MTU, shows packets to captures, and binds policies to itself. Where not, a dummy
 * link: policies take every packet for a peer before it gets there, and what none of them takes
 * ends in it. Either way nothing for the network leaves by the bridge or the underlay in clear.
 */

import { type Cipher, overheadOf } from "../../core/overhead.ts"
import { NETLINK_ROUTE } from "../../netlink/constants.ts"
import { getLink, type NewLink, newDummy } from "../../netlink/route/link.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { newXfrmLink } from "../../netlink/xfrm/link.ts"
import { EOPNOTSUPP } from "../../sys/ffi/errno.ts"
import { createNetns } from "../../sys/netns/netns.ts"
import type { OverlayNetwork, OverlaySelf } from "../driver.ts"
import { ownFamily } from "../underlay_address.ts"
import { ifIdOf } from "./policies.ts"

/** `lrx` and the network's number. */
export function deviceName({ number }: Pick<OverlayNetwork, "number">): string {
  return `lrx${number}`
}

/**
 * The if_id of the network's XFRM interface; undefined where policies alone must do. A network that
 * was begun without stays so until its device goes: its policies would stand in the way of an
 * interface.
 *
 * @throws SystemError; NetlinkError
 */
export function chooseIfId(
  socket: NetlinkSocket,
  network: Pick<OverlayNetwork, "number">,
): number | undefined {
  const kind = getLink(socket, deviceName(network))?.kind
  const interfaces = kind === "xfrm" || (kind !== "dummy" && hasXfrmInterfaces())
  return interfaces ? ifIdOf(network.number) : undefined
}

/** Whether the kernel has XFRM interfaces, tried in a namespace of its own. @throws SystemError; NetlinkError */
export function hasXfrmInterfaces(): boolean {
  const netns = createNetns()
  try {
    using socket = NetlinkSocket.open(NETLINK_ROUTE, { netns })
    const [outcome] = socket.tryAll([newXfrmLink({ name: "probe" }, ifIdOf(0))])
    if (outcome?.error === undefined) return true
    if (outcome.error.errno === EOPNOTSUPP) return false
    throw outcome.error
  } finally {
    netns.close()
  }
}

/** What the device is to be. @throws LariatError mtu-too-small */
export function tunnelDevice(
  { underlayMtu: outer }: Pick<OverlayNetwork, "underlayMtu">,
  { underlay }: Pick<OverlaySelf, "underlay">,
  options: { readonly cipher: Cipher; readonly udp: boolean; readonly ifId: number | undefined },
) {
  const { ifId, cipher, udp } = options
  const family = ownFamily(underlay) ?? 4
  return {
    title: ifId === undefined ? "dummy links" : "XFRM interfaces",
    mtu: overheadOf("ipsec", { outer, cipher, family, udp }).mtu,
    make: (link: NewLink) => (ifId === undefined ? newDummy(link) : newXfrmLink(link, ifId)),
  }
}
