/** Trying what the kernel can do, in a network namespace made for it. */

import { existsSync } from "node:fs"
import { CIPHERS } from "../../core/encapsulation.ts"
import { espSupported } from "../../drivers/ipsec/probe.ts"
import { Firewall } from "../../firewall/firewall.ts"
import { NETLINK_ROUTE } from "../../netlink/constants.ts"
import type { MessageWriter } from "../../netlink/message.ts"
import { newBridge, newLink, newVeth } from "../../netlink/route/link.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { createNetns, type Netns, withNetns } from "../../sys/netns/netns.ts"
import type { KernelFeatures } from "./host_view.ts"

/** IFLA_VXLAN_ID of linux/if_link.h. */
const IFLA_VXLAN_ID = 1
/** IFLA_XFRM_IF_ID of linux/if_link.h. */
const IFLA_XFRM_IF_ID = 2
/** There is no such folder where the kernel has no IPv6. */
const IPV6_SETTINGS = "/proc/sys/net/ipv6"

const LINKS: Readonly<Record<string, () => MessageWriter>> = {
  veth: () => newVeth({ name: "probe0", peer: { name: "probe1" } }),
  bridge: () => newBridge({ name: "probe2" }),
  vxlan: () => newLink("vxlan", { name: "probe3" }, (writer) => writer.attrU32(IFLA_VXLAN_ID, 1)),
  wireguard: () => newLink("wireguard", { name: "probe4" }),
  xfrmInterface: () =>
    newLink("xfrm", { name: "probe5" }, (writer) => writer.attrU32(IFLA_XFRM_IF_ID, 1)),
}

/**
 * What this kernel has, by making one of each in a throw-away namespace. Who may not make a
 * namespace learns nothing.
 */
export function probeFeatures(): KernelFeatures {
  let netns: Netns
  try {
    netns = createNetns()
  } catch {
    return {}
  }
  try {
    return withNetns(netns, probeHere)
  } finally {
    netns.close()
  }
}

function probeHere(): KernelFeatures {
  using socket = NetlinkSocket.open(NETLINK_ROUTE)
  const links = Object.entries(LINKS).map(([feature, make]) => {
    return [feature, socket.tryAll([make()])[0]?.error === undefined] as const
  })
  return {
    ...Object.fromEntries(links),
    esp: espSupported(CIPHERS[0]),
    nftables: hasNftables(),
    ipv6: existsSync(IPV6_SETTINGS),
  }
}

function hasNftables(): boolean {
  try {
    using firewall = Firewall.open()
    firewall.ensure({ hostNat: [], overlay: [], masquerade: [] })
    return true
  } catch {
    return false
  }
}
