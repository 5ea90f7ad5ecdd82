/** VXLAN links (RFC 7348): what is asked of the kernel and told by it about a VTEP. */

import { parseAddress } from "../../core/address.ts"
import { ENODEV } from "../../sys/ffi/errno.ts"
import { addressText } from "../addr_codec.ts"
import { parseBody } from "../attribute.ts"
import { RTM_NEWLINK } from "../constants.ts"
import { type Message, MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import { type LinkRef, type NewLink, newLink, queryLink } from "./link.ts"
import { decodeLink, type LinkInfo, putLinkHeader, putLinkKind } from "./link_codec.ts"
import * as l from "./link_constants.ts"

/** What makes a VTEP. */
export interface VxlanFields {
  /** VXLAN network identifier, 24 bits. */
  readonly vni: number
  /** Source address of what it sends; its family is that of the whole link. */
  readonly local: string
  /** UDP port that it listens at and sends to. */
  readonly port: number
  /** Whether it learns far ends from what comes in. */
  readonly learning: boolean
}

/** A VXLAN link as the kernel tells it. */
export interface VxlanInfo extends Omit<VxlanFields, "local"> {
  readonly link: LinkInfo
  /** Undefined when the link has none and takes what the route says. */
  readonly local: string | undefined
}

/** Bytes of struct ifinfomsg. */
const IFINFOMSG_BYTES = 16

/** The message that makes a VXLAN link. EEXIST: the name, or the VNI with the port, is taken. */
export function newVxlan(spec: NewLink, fields: VxlanFields): MessageWriter {
  return newLink("vxlan", spec, (writer) => {
    writer.attrU32(l.IFLA_VXLAN_ID, fields.vni)
    putLocal(writer, fields.local)
    writer.attrU8(l.IFLA_VXLAN_LEARNING, fields.learning ? 1 : 0)
    writer.attrU16be(l.IFLA_VXLAN_PORT, fields.port)
  })
}

/**
 * The message that gives a VXLAN link another source address, of the same family. Forwarding
 * entries stay.
 */
export function changeVxlanLocal(index: number, local: string): MessageWriter {
  const writer = new MessageWriter(RTM_NEWLINK, 0, {
    operation: `change the source of vxlan link ${index} to ${local}`,
  })
  putLinkHeader(writer, { index })
  putLinkKind(writer, "vxlan", () => putLocal(writer, local))
  return writer
}

/**
 * A VXLAN link; undefined when there is no link of that name, or it is of another kind.
 *
 * @throws NetlinkError
 */
export function getVxlan(socket: NetlinkSocket, link: LinkRef): VxlanInfo | undefined {
  const answer = socket.attempt(queryLink(link), ENODEV)
  return answer === undefined ? undefined : decodeVxlan(answer)
}

/**
 * Reads RTM_NEWLINK; undefined for a link of another kind.
 *
 * @throws LariatError code `decode`
 */
export function decodeVxlan(message: Message): VxlanInfo | undefined {
  const link = decodeLink(message)
  if (link.kind !== "vxlan") return undefined
  const { attributes } = parseBody(message.payload, IFINFOMSG_BYTES, "a link message")
  const data = attributes.nested(l.IFLA_LINKINFO).nested(l.IFLA_INFO_DATA)
  return {
    link,
    vni: data.u32(l.IFLA_VXLAN_ID) ?? 0,
    port: data.u16be(l.IFLA_VXLAN_PORT) ?? 0,
    learning: (data.u8(l.IFLA_VXLAN_LEARNING) ?? 0) !== 0,
    local:
      addressText(4, data.get(l.IFLA_VXLAN_LOCAL)) ?? addressText(6, data.get(l.IFLA_VXLAN_LOCAL6)),
  }
}

function putLocal(writer: MessageWriter, address: string): void {
  const { family, bytes } = parseAddress(address)
  writer.attr(family === 4 ? l.IFLA_VXLAN_LOCAL : l.IFLA_VXLAN_LOCAL6, bytes)
}
