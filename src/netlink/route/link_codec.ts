/** Layout of link messages (struct ifinfomsg and IFLA_* attributes). */

import { formatMac } from "../../core/mac.ts"
import { type Attributes, parseAttributes, parseBody } from "../attribute.ts"
import { AF_INET, AF_INET6 } from "../constants.ts"
import type { Message, MessageWriter } from "../message.ts"
import * as l from "./link_constants.ts"

/** Bytes of struct ifinfomsg: family (1), pad (1), type (2), index (4), flags (4), change (4). */
const IFINFOMSG_BYTES = 16

/** A link by index or by name. */
export type LinkRef = number | string

/** What may be given to a link; what is left out stays as it is, or is the kernel's default. */
export interface LinkFields {
  readonly name?: string | undefined
  readonly mtu?: number | undefined
  /** 6 bytes. */
  readonly mac?: Uint8Array | undefined
  /** Index of the bridge that the link is to be a port of; 0 takes it out. */
  readonly master?: number | undefined
  /** At most 255 bytes. */
  readonly alias?: string | undefined
  readonly group?: number | undefined
  /** Descriptor of the namespace that the link is made in or moved to. */
  readonly netnsFd?: number | undefined
  /**
   * Queues each way of a new link. Default: the kernel's, one for each processor. A veth without
   * XDP uses one, and each more costs 40 µs at its creation.
   */
  readonly queues?: number | undefined
}

/** Settings of a bridge's port; what is left out stays as it is. */
export interface BridgePortFields {
  readonly hairpin?: boolean | undefined
  readonly isolated?: boolean | undefined
  readonly learning?: boolean | undefined
  readonly proxyArp?: boolean | undefined
  readonly neighSuppress?: boolean | undefined
  readonly unicastFlood?: boolean | undefined
}

/** A link as the kernel tells it. */
export interface LinkInfo {
  readonly index: number
  readonly name: string
  /** Empty for links without one. */
  readonly mac: string
  readonly mtu: number
  /** IFF_*. */
  readonly flags: number
  /** Administratively up. */
  readonly up: boolean
  /** ARPHRD_* of linux/if_arp.h. */
  readonly type: number
  /** Index of the bridge it is a port of; 0 when none. */
  readonly master: number
  /** Index of the lower link, or of a veth's peer; undefined when none. */
  readonly link: number | undefined
  /** Number, in the answering namespace, of the namespace that `link` is in; undefined: the same. */
  readonly linkNetnsId: number | undefined
  readonly group: number
  readonly alias: string
  /** "veth", "bridge", …; empty for hardware. */
  readonly kind: string
  /** Settings of a bridge port, undefined when it is none. */
  readonly port: BridgePortFields | undefined
}

const PORT_ATTRIBUTES: readonly (readonly [keyof BridgePortFields, number])[] = [
  ["hairpin", l.IFLA_BRPORT_MODE],
  ["learning", l.IFLA_BRPORT_LEARNING],
  ["unicastFlood", l.IFLA_BRPORT_UNICAST_FLOOD],
  ["proxyArp", l.IFLA_BRPORT_PROXYARP],
  ["neighSuppress", l.IFLA_BRPORT_NEIGH_SUPPRESS],
  ["isolated", l.IFLA_BRPORT_ISOLATED],
]

/**
 * Writes a struct ifinfomsg.
 *
 * @param options index: 0 when the name tells the link; flags: IFF_* that are to be set;
 *   change: IFF_* that `flags` is about
 */
export function putLinkHeader(
  writer: MessageWriter,
  options: {
    readonly index?: number
    readonly flags?: number
    readonly change?: number
    readonly family?: number
  } = {},
): void {
  writer
    .u8(options.family ?? 0)
    .zeros(3)
    .i32(options.index ?? 0)
    .u32(options.flags ?? 0)
    .u32(options.change ?? 0)
}

/** Writes the attributes that a veth's peer takes as well as its near end, in iproute2's order. */
export function putLinkFields(writer: MessageWriter, fields: LinkFields): void {
  if (fields.mtu !== undefined) writer.attrU32(l.IFLA_MTU, fields.mtu)
  if (fields.mac !== undefined) writer.attr(l.IFLA_ADDRESS, fields.mac)
  if (fields.master !== undefined) writer.attrU32(l.IFLA_MASTER, fields.master)
  if (fields.alias !== undefined) writer.attr(l.IFLA_IFALIAS, encoder.encode(fields.alias))
  if (fields.group !== undefined) writer.attrU32(l.IFLA_GROUP, fields.group)
  if (fields.netnsFd !== undefined) writer.attrU32(l.IFLA_NET_NS_FD, fields.netnsFd)
  if (fields.queues !== undefined) {
    writer.attrU32(l.IFLA_NUM_TX_QUEUES, fields.queues).attrU32(l.IFLA_NUM_RX_QUEUES, fields.queues)
  }
  if (fields.name !== undefined) writer.attrString(l.IFLA_IFNAME, fields.name)
}

/** Writes IFLA_LINKINFO of a new link: its kind and what `data` adds for it. */
export function putLinkKind(writer: MessageWriter, kind: string, data?: () => void): void {
  writer.nested(l.IFLA_LINKINFO, () => {
    // iproute2 leaves the zero out; so does this.
    writer.attr(l.IFLA_INFO_KIND, encoder.encode(kind))
    if (data !== undefined) writer.nested(l.IFLA_INFO_DATA, data)
  })
}

/** Writes IFLA_LINKINFO of a link that is a bridge's port. */
export function putBridgePort(writer: MessageWriter, fields: BridgePortFields): void {
  writer.nested(l.IFLA_LINKINFO, () => {
    writer.attr(l.IFLA_INFO_SLAVE_KIND, encoder.encode("bridge"))
    writer.nested(l.IFLA_INFO_SLAVE_DATA, () => {
      for (const [field, attribute] of PORT_ATTRIBUTES) {
        const value = fields[field]
        if (value !== undefined) writer.attrU8(attribute, value ? 1 : 0)
      }
    })
  })
}

/**
 * Writes IFLA_AF_SPEC: whether the link announces its addresses when it comes up or its MAC is set
 * (arp_notify of IPv4), and whether it makes itself an IPv6 address.
 */
export function putFamilySettings(
  writer: MessageWriter,
  fields: { readonly arpNotify?: boolean | undefined; readonly noLinkLocal?: boolean | undefined },
): void {
  const { arpNotify, noLinkLocal } = fields
  if (arpNotify === undefined && !noLinkLocal) return
  writer.nested(l.IFLA_AF_SPEC, () => {
    if (arpNotify !== undefined) {
      writer.nested(AF_INET, () => {
        writer.nested(l.IFLA_INET_CONF, () => {
          writer.attrU32(l.IPV4_DEVCONF_ARP_NOTIFY, Number(arpNotify))
        })
      })
    }
    if (noLinkLocal) {
      writer.nested(AF_INET6, () => {
        writer.attrU8(l.IFLA_INET6_ADDR_GEN_MODE, l.IN6_ADDR_GEN_MODE_NONE)
      })
    }
  })
}

/**
 * Reads RTM_NEWLINK or RTM_DELLINK.
 *
 * @throws LariatError code `decode`
 */
export function decodeLink({ payload }: Message): LinkInfo {
  const { header, attributes } = parseBody(payload, IFINFOMSG_BYTES, "a link message")
  const flags = header.getUint32(8, true)
  const linkInfo = attributes.nested(l.IFLA_LINKINFO)
  return {
    index: header.getInt32(4, true),
    type: header.getUint16(2, true),
    flags,
    up: (flags & l.IFF_UP) !== 0,
    name: attributes.text(l.IFLA_IFNAME) ?? "",
    mac: formatMac(attributes.get(l.IFLA_ADDRESS) ?? new Uint8Array(0)),
    mtu: attributes.u32(l.IFLA_MTU) ?? 0,
    master: attributes.u32(l.IFLA_MASTER) ?? 0,
    // 0 means that the link has no lower one (an unconnected tunnel).
    link: attributes.u32(l.IFLA_LINK) || undefined,
    linkNetnsId: attributes.i32(l.IFLA_LINK_NETNSID),
    group: attributes.u32(l.IFLA_GROUP) ?? 0,
    alias: attributes.text(l.IFLA_IFALIAS) ?? "",
    kind: linkInfo.text(l.IFLA_INFO_KIND) ?? "",
    port: decodePort(attributes, linkInfo),
  }
}

const encoder = new TextEncoder()

function decodePort(attributes: Attributes, linkInfo: Attributes): BridgePortFields | undefined {
  const ofBridge = linkInfo.text(l.IFLA_INFO_SLAVE_KIND) === "bridge"
  const bytes = ofBridge ? linkInfo.get(l.IFLA_INFO_SLAVE_DATA) : attributes.get(l.IFLA_PROTINFO)
  if (bytes === undefined) return undefined
  const data = parseAttributes(bytes)
  const port: { -readonly [K in keyof BridgePortFields]: boolean } = {}
  for (const [field, attribute] of PORT_ATTRIBUTES) {
    const value = data.u8(attribute)
    if (value !== undefined) port[field] = value !== 0
  }
  return port
}
