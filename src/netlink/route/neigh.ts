/** Neighbour entries: ARP, neighbour discovery, proxies, and forwarding entries of a bridge or vxlan. */

import { type Address, parseAddress } from "../../core/address.ts"
import { formatMac, parseMac } from "../../core/mac.ts"
import { ENOENT } from "../../sys/ffi/errno.ts"
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
  return put(writer, index, parseAddress(address), { mac: parseMac(mac) })
}

/** The message that forgets the entry; ENOENT when it is not there. */
export function deleteNeigh(index: number, address: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELNEIGH, 0, {
    operation: `delete neighbour ${address} of link ${index}`,
  })
  return put(writer, index, parseAddress(address))
}

/** The message that has the kernel ask, by ARP or neighbour discovery, who has an address. */
export function askForNeigh(index: number, address: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_NEWNEIGH, c.NLM_F_CREATE, {
    operation: `ask for neighbour ${address} on link ${index}`,
  })
  return put(writer, index, parseAddress(address), { state: 0, flags: c.NTF_USE })
}

/**
 * What the kernel knows of one neighbour; undefined where that is nothing.
 *
 * @throws NetlinkError
 */
export function getNeigh(
  socket: NetlinkSocket,
  index: number,
  address: string,
): NeighInfo | undefined {
  const writer = new MessageWriter(c.RTM_GETNEIGH, 0, { operation: `look for ${address}` })
  return single(socket, put(writer, index, parseAddress(address), { state: 0 }))
}

/**
 * The port of a bridge behind which a MAC address was seen, as the index of its link; undefined
 * where it was not. The bridge's own addresses are the bridge's.
 *
 * @throws NetlinkError
 */
export function portOfMac(socket: NetlinkSocket, bridge: number, mac: string): number | undefined {
  const writer = new MessageWriter(c.RTM_GETNEIGH, 0, { operation: `look for ${mac}` })
  writer.u8(c.AF_BRIDGE).zeros(NDMSG_BYTES - 1)
  writer.attr(c.NDA_LLADDR, parseMac(mac)).attrU32(c.NDA_MASTER, bridge)
  return single(socket, writer)?.index
}

function single(socket: NetlinkSocket, message: MessageWriter): NeighInfo | undefined {
  const [outcome] = socket.tryAll([message])
  if (outcome?.error?.errno === ENOENT) return undefined
  if (outcome?.error !== undefined) throw outcome.error
  const [answer] = outcome?.answers ?? []
  return answer === undefined ? undefined : decodeNeigh(answer)
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

interface Details {
  /** NUD_*. Default permanent. */
  readonly state?: number
  /** NTF_*. Default none. */
  readonly flags?: number
  readonly mac?: Uint8Array
}

function put(
  writer: MessageWriter,
  index: number,
  to: Address,
  { state = c.NUD_PERMANENT, flags = 0, mac }: Details = {},
): MessageWriter {
  writer.u8(familyNumber(to.family)).zeros(3).i32(index).u16(state).u8(flags).u8(0)
  writer.attr(c.NDA_DST, to.bytes)
  return mac === undefined ? writer : writer.attr(c.NDA_LLADDR, mac)
}
