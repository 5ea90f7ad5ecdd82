/** Forwarding entries of a VXLAN link: which far end has which MAC address. */

import { parseAddress } from "../../core/address.ts"
import { parseMac } from "../../core/mac.ts"
import * as c from "../constants.ts"
import { MessageWriter } from "../message.ts"
import { dumpOfLink, type NetlinkSocket } from "../socket.ts"
import { decodeNeigh } from "./neigh.ts"

/** One entry. */
export interface ForwardingInfo {
  /** Index of the VXLAN link. */
  readonly index: number
  /** All zeros: where frames go that no other entry fits. */
  readonly mac: string
  /** Address of the far end; undefined where the entry names none. */
  readonly address: string | undefined
  /** NUD_*. */
  readonly state: number
}

/**
 * The message that sends frames for `mac` to `address` for good. Where there is an entry with one
 * far end, that is changed in one step (vxlan_fdb_replace of drivers/net/vxlan).
 */
export function replaceForwarding(index: number, mac: string, address: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_NEWNEIGH, c.NLM_F_CREATE | c.NLM_F_REPLACE, {
    operation: `forward ${mac} to ${address} on link ${index}`,
  })
  return put(writer, index, mac, address)
}

/** The message that takes one far end of an entry out; ENOENT when it is not there. */
export function deleteForwarding(
  index: number,
  mac: string,
  address: string | undefined,
): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELNEIGH, 0, {
    operation: `forward ${mac} no more on link ${index}`,
  })
  return put(writer, index, mac, address)
}

/**
 * The forwarding entries of one link, those of multicast groups left out. A link that is gone has
 * none.
 *
 * @throws NetlinkError
 */
export function listForwardings(socket: NetlinkSocket, index: number): ForwardingInfo[] {
  const writer = new MessageWriter(c.RTM_GETNEIGH, 0, { operation: "list forwarding entries" })
  writer.u8(c.AF_BRIDGE).zeros(3).i32(index).zeros(4)
  return (
    dumpOfLink(socket, writer)
      .map(decodeNeigh)
      // The kernel lists groups that every link joins (33:33:…, 01:00:5e:…) beside them.
      .filter((info) => info.index === index && !isGroup(info.mac))
      .map(({ mac, address, state }) => ({ index, mac, address, state }))
  )
}

function isGroup(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1
}

function put(
  writer: MessageWriter,
  index: number,
  mac: string,
  address: string | undefined,
): MessageWriter {
  writer
    .u8(c.AF_BRIDGE)
    .zeros(3)
    .i32(index)
    .u16(c.NUD_NOARP | c.NUD_PERMANENT)
    .u8(c.NTF_SELF)
    .u8(0)
    .attr(c.NDA_LLADDR, parseMac(mac))
  return address === undefined ? writer : writer.attr(c.NDA_DST, parseAddress(address).bytes)
}
