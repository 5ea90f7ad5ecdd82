/** Neighbour entries: ARP, neighbour discovery, proxies, and forwarding entries of a bridge or vxlan. */

import { type Address, parseAddress } from "../../core/address.ts"
import { formatMac, parseMac } from "../../core/mac.ts"
import { addressText, familyNumber, familyOfNumber } from "../addr_codec.ts"
import { parseBody } from "../attribute.ts"
import * as c from "../constants.ts"
import { type Message, MessageWriter } from "../message.ts"
import { dumpOfLink, type NetlinkSocket } from "../socket.ts"

/** Bytes of struct ndmsg: family (1), pad (3), index (4), state (2), flags (1), type (1). */
const NDMSG_BYTES = 12

/** A neighbour entry. */
export interface NeighInfo {
  readonly index: number
  /** Undefined in a forwarding entry that names no far end. */
  readonly address: string | undefined
  /** Empty when it is not known. */
  readonly mac: string
  /** NUD_*. */
  readonly state: number
  /** NTF_*. */
  readonly flags: number
}

/** The message that says, for good, that `address` has `mac` on the link. */
export function newNeigh(index: number, address: string, mac: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_NEWNEIGH, c.NLM_F_CREATE | c.NLM_F_REPLACE, {
    operation: `add neighbour ${address} on link ${index}`,
  })
  return put(writer, index, parseAddress(address), parseMac(mac))
}

/** The message that forgets the entry; ENOENT when it is not there. */
export function deleteNeigh(index: number, address: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELNEIGH, 0, {
    operation: `delete neighbour ${address} of link ${index}`,
  })
  return put(writer, index, parseAddress(address))
}

/**
 * The neighbours of one link, or of all.
 *
 * @param index 0 or left out: of all links. A link that is gone has none
 * @throws NetlinkError
 */
export function listNeighs(socket: NetlinkSocket, index = 0): NeighInfo[] {
  const writer = new MessageWriter(c.RTM_GETNEIGH, 0, { operation: "list neighbours" })
  writer.zeros(NDMSG_BYTES)
  if (index !== 0) writer.attrU32(NDA_IFINDEX, index)
  return dumpOfLink(socket, writer)
    .map(decodeNeigh)
    .filter((info) => index === 0 || info.index === index)
}

/**
 * Reads RTM_NEWNEIGH or RTM_DELNEIGH.
 *
 * @throws LariatError code `decode`
 */
export function decodeNeigh({ payload }: Message): NeighInfo {
  const { header, attributes } = parseBody(payload, NDMSG_BYTES, "a neighbour message")
  const far = attributes.get(c.NDA_DST)
  return {
    index: header.getInt32(4, true),
    state: header.getUint16(8, true),
    flags: header.getUint8(10),
    // A forwarding entry is of family AF_BRIDGE.
    address: addressText(familyOfNumber(header.getUint8(0)) ?? (far?.length === 4 ? 4 : 6), far),
    mac: formatMac(attributes.get(c.NDA_LLADDR) ?? new Uint8Array(0)),
  }
}

/** linux/neighbour.h: the link, as a filter of a dump. */
const NDA_IFINDEX = 8

function put(writer: MessageWriter, index: number, to: Address, mac?: Uint8Array): MessageWriter {
  writer.u8(familyNumber(to.family)).zeros(3).i32(index).u16(c.NUD_PERMANENT).u8(0).u8(0)
  writer.attr(c.NDA_DST, to.bytes)
  return mac === undefined ? writer : writer.attr(c.NDA_LLADDR, mac)
}
