/** Telling the neighbours where an address is now. */

import { parseMac } from "../core/mac.ts"
import { changeLink } from "../netlink/route/link.ts"
import type { Netns } from "../sys/netns/netns.ts"
import { usesIpv6 } from "./container_batch.ts"
import { announceOnChange } from "./ipv6.ts"
import { openInside } from "./kernel.ts"

/**
 * Makes the kernel send a gratuitous ARP (RFC 5227 section 3) and an unsolicited neighbour
 * advertisement (RFC 4861 section 7.2.6) for every address of the interface, so that neighbours
 * that knew an address under another MAC learn the new one.
 *
 * The kernel does it when a MAC is set, be it the same one, where arp_notify and ndisc_notify are
 * on; they stay on, for later changes. A packet socket could send the same frames, but closing
 * one costs a grace period, 8 to 16 ms.
 *
 * To be called when the port passes packets, and before the container sends any: a MAC that is set
 * makes the kernel forget the interface's neighbours, and what waits for one to answer is lost.
 *
 * @param mac the MAC that the interface has
 * @param addresses those it has; they decide which protocols announce
 * @throws NetlinkError, SystemError
 */
export function announce(
  netns: Netns,
  ifname: string,
  mac: string,
  addresses: readonly string[],
): void {
  if (usesIpv6(addresses)) announceOnChange(netns, ifname)
  const socket = openInside(netns)
  try {
    socket.requestAll(
      [
        changeLink(ifname, { arpNotify: true }, `let ${ifname} announce`),
        changeLink(ifname, { mac: parseMac(mac) }, `announce the addresses of ${ifname}`),
      ],
      { inOrder: true },
    )
  } finally {
    socket.close()
  }
}
