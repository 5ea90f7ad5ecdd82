/** Links: what can be asked of the kernel about network interfaces. */

import { ENODEV } from "../../sys/ffi/errno.ts"
import * as c from "../constants.ts"
import { MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import {
  type BridgePortFields,
  decodeLink,
  type LinkFields,
  type LinkInfo,
  type LinkRef,
  putBridgePort,
  putFamilySettings,
  putLinkFields,
  putLinkHeader,
  putLinkKind,
} from "./link_codec.ts"
import * as l from "./link_constants.ts"

export type { BridgePortFields, LinkFields, LinkInfo, LinkRef } from "./link_codec.ts"

/** A new link's fields, name included; `up` brings it up at once. */
export interface NewLink extends LinkFields {
  readonly name: string
  readonly up?: boolean
}

/** A veth pair. The peer cannot be brought up in the same message (the kernel says ENOTCONN). */
export interface NewVeth extends NewLink {
  readonly peer: Omit<NewLink, "up">
}

/** A bridge. */
export interface NewBridge extends NewLink {
  /** Default: the kernel's, on. */
  readonly multicastSnooping?: boolean
  readonly vlanFiltering?: boolean
  /** Seconds that a port listens before it forwards; matters with STP alone. */
  readonly forwardDelay?: number
}

/** Changes to a link that is there. */
export interface LinkChange extends LinkFields {
  readonly up?: boolean | undefined
  readonly promiscuous?: boolean | undefined
  /** Announce its addresses by ARP when it comes up or its MAC is set. */
  readonly arpNotify?: boolean | undefined
  /** True: the link makes itself no IPv6 address. EAFNOSUPPORT where there is no IPv6. */
  readonly noLinkLocal?: boolean | undefined
  /** Settings as a bridge's port; EOPNOTSUPP when it is none. */
  readonly port?: BridgePortFields | undefined
}

/** Which links to list; all when nothing is given. */
export interface LinkFilter {
  readonly master?: number
  readonly kind?: string
  readonly group?: number
}

const CREATE = c.NLM_F_CREATE | c.NLM_F_EXCL
/** BR_TIME units (USER_HZ, include/asm-generic/param.h) in a second. */
const CLOCK_TICKS = 100

/** The message that makes a veth pair. It fails with EEXIST when either name is taken. */
export function newVeth(spec: NewVeth): MessageWriter {
  return newLink("veth", spec, (writer) => {
    writer.nested(l.VETH_INFO_PEER, () => {
      putLinkHeader(writer)
      putLinkFields(writer, spec.peer)
    })
  })
}

/** The message that makes a bridge. */
export function newBridge(spec: NewBridge): MessageWriter {
  const { forwardDelay, vlanFiltering, multicastSnooping } = spec
  const settings = [forwardDelay, vlanFiltering, multicastSnooping]
  if (settings.every((setting) => setting === undefined)) return newLink("bridge", spec)
  return newLink("bridge", spec, (writer) => {
    if (forwardDelay !== undefined) {
      writer.attrU32(l.IFLA_BR_FORWARD_DELAY, Math.round(forwardDelay * CLOCK_TICKS))
    }
    if (vlanFiltering !== undefined) writer.attrU8(l.IFLA_BR_VLAN_FILTERING, Number(vlanFiltering))
    if (multicastSnooping !== undefined) {
      writer.attrU8(l.IFLA_BR_MCAST_SNOOPING, Number(multicastSnooping))
    }
  })
}

/** The message that makes a dummy link, which drops what it is given. */
export function newDummy(spec: NewLink): MessageWriter {
  return newLink("dummy", spec)
}

/** The message that makes a link of any kind; `data` writes what the kind wants. */
export function newLink(
  kind: string,
  spec: NewLink,
  data?: (writer: MessageWriter) => void,
): MessageWriter {
  const writer = new MessageWriter(c.RTM_NEWLINK, CREATE, {
    operation: `create ${kind} ${spec.name}`,
  })
  const flags = spec.up ? l.IFF_UP : 0
  putLinkHeader(writer, { flags, change: flags })
  putLinkFields(writer, spec)
  putLinkKind(writer, kind, data === undefined ? undefined : () => data(writer))
  return writer
}

/** The message that changes a link. With a link named by text, `change.name` cannot rename it. */
export function changeLink(link: LinkRef, change: LinkChange, operation?: string): MessageWriter {
  const writer = new MessageWriter(c.RTM_NEWLINK, 0, {
    operation: operation ?? `change link ${link}`,
  })
  let mask = 0
  let flags = 0
  for (const [bit, value] of [
    [l.IFF_UP, change.up],
    [l.IFF_PROMISC, change.promiscuous],
  ] as const) {
    if (value !== undefined) mask |= bit
    if (value === true) flags |= bit
  }
  putLinkRef(writer, link, { flags, change: mask })
  putLinkFields(writer, typeof link === "string" ? { ...change, name: undefined } : change)
  if (change.port !== undefined) putBridgePort(writer, change.port)
  putFamilySettings(writer, change)
  return writer
}

/** The message that changes a bridge's port. */
export function changeBridgePort(link: LinkRef, port: BridgePortFields): MessageWriter {
  return changeLink(link, { port }, `change bridge port ${link}`)
}

/** The message that deletes a link. Of a veth, both ends go. */
export function deleteLink(link: LinkRef): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELLINK, 0, { operation: `delete link ${link}` })
  putLinkRef(writer, link)
  return writer
}

/** The message that deletes every link of a group: one grace period for all of them. */
export function deleteLinkGroup(group: number): MessageWriter {
  const writer = new MessageWriter(c.RTM_DELLINK, 0, { operation: `delete link group ${group}` })
  putLinkHeader(writer)
  return writer.attrU32(l.IFLA_GROUP, group)
}

/**
 * The message that asks for one link. Kernels from 6.8 on first act on a change of its carrier
 * that they know of (`linkwatch_sync_dev`): after the answer a link that has its carrier sends,
 * and a bridge's port forwards.
 */
export function queryLink(link: LinkRef): MessageWriter {
  const writer = new MessageWriter(c.RTM_GETLINK, 0, { operation: `read link ${link}` })
  putLinkRef(writer, link)
  return writer.attrU32(l.IFLA_EXT_MASK, l.RTEXT_FILTER_SKIP_STATS)
}

/**
 * A link, or undefined when there is none.
 *
 * @throws NetlinkError
 */
export function getLink(socket: NetlinkSocket, link: LinkRef): LinkInfo | undefined {
  const answer = socket.attempt(queryLink(link), ENODEV)
  return answer === undefined ? undefined : decodeLink(answer)
}

/**
 * Every link of the socket's namespace that fits the filter.
 *
 * @throws NetlinkError
 */
export function listLinks(socket: NetlinkSocket, filter: LinkFilter = {}): LinkInfo[] {
  const writer = new MessageWriter(c.RTM_GETLINK, 0, { operation: "list links" })
  putLinkHeader(writer)
  if (filter.master !== undefined) writer.attrU32(l.IFLA_MASTER, filter.master)
  if (filter.kind !== undefined) putLinkKind(writer, filter.kind)
  writer.attrU32(l.IFLA_EXT_MASK, l.RTEXT_FILTER_SKIP_STATS)
  // The kernel filters by master and kind since 4.6 where it can; its list may still hold others.
  return socket
    .dump(writer)
    .map(decodeLink)
    .filter(
      ({ master, kind, group }) =>
        master === (filter.master ?? master) &&
        kind === (filter.kind ?? kind) &&
        group === (filter.group ?? group),
    )
}

function putLinkRef(
  writer: MessageWriter,
  link: LinkRef,
  header: { readonly flags: number; readonly change: number } = { flags: 0, change: 0 },
): void {
  putLinkHeader(writer, typeof link === "number" ? { ...header, index: link } : header)
  if (typeof link === "string") writer.attrString(l.IFLA_IFNAME, link)
}
