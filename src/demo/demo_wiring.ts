/** Cables of the demo: links, addresses and routes between throw-away namespaces. */

import { NETLINK_ROUTE } from "../netlink/constants.ts"
import { newAddress } from "../netlink/route/addr.ts"
import { changeLink, getLink, newBridge, newVeth } from "../netlink/route/link.ts"
import { newRoute } from "../netlink/route/route.ts"
import { NetlinkSocket } from "../netlink/socket.ts"
import { type Netns, withNetns } from "../sys/netns/netns.ts"

/** A machine's own end of its cable. */
const UPLINK = "uplink"

/** An end of a cable: a link in a namespace, with an address. */
export interface CableEnd {
  readonly netns: Netns
  readonly address: string
}

/** The switch that cables end in. */
const SWITCH = "switch"

/** Makes a switch, with an address of its own. */
export function makeSwitch({ netns, address }: CableEnd): void {
  inside(netns, (socket) => {
    socket.request(newBridge({ name: SWITCH, up: true, multicastSnooping: false }))
    configure(socket, SWITCH, `${address}/24`)
  })
}

/**
 * Joins a host to a switch by a cable.
 *
 * @param port names the cable's end at the switch
 */
export function wireToSwitch(host: CableEnd, middle: CableEnd, port: string): void {
  inside(middle.netns, (there) => {
    inside(host.netns, (here) => {
      const master = getLink(there, SWITCH)?.index
      const peer = { name: UPLINK, netnsFd: host.netns.fd }
      there.request(newVeth({ name: port, up: true, ...(master && { master }), peer }))
      configure(here, UPLINK, `${host.address}/24`)
      here.request(newRoute({ dst: "0.0.0.0/0", gateway: middle.address }))
    })
  })
}

function configure(socket: NetlinkSocket, name: string, address: string): void {
  for (const link of ["lo", name]) socket.request(changeLink(link, { up: true }))
  const index = getLink(socket, name)?.index
  if (index !== undefined) socket.request(newAddress(index, address))
}

/** Runs `fn` with a netlink socket that was opened in the namespace. */
function inside<T>(netns: Netns, fn: (socket: NetlinkSocket) => T): T {
  const socket = withNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    return fn(socket)
  } finally {
    socket.close()
  }
}
