/** Layout of route messages (struct rtmsg and RTA_* attributes). */

import type { Prefix } from "../../core/address.ts"
import { type Address, type Family, formatPrefix } from "../../core/address.ts"
import { LariatError } from "../../errors.ts"
import { addressText, familyBytes, familyNumber, familyOfNumber } from "../addr_codec.ts"
import { type Attributes, parseAttributes, parseBody } from "../attribute.ts"
import * as c from "../constants.ts"
import type { Message, MessageWriter } from "../message.ts"

/** Bytes of struct rtmsg: eight numbers of 1, flags (4). */
const RTMSG_BYTES = 12
/** Bytes of struct rtnexthop: length (2), flags (1), hops (1), index (4). */
const RTNEXTHOP_BYTES = 8

/** What a route message says; numbers are RT_*, RTN_*, RTPROT_* of rtnetlink.h. */
export interface RouteFields {
  readonly dst: Prefix
  readonly gateway?: Address | undefined
  /** Index of the link it leaves by. */
  readonly index?: number | undefined
  readonly table: number
  readonly scope: number
  readonly protocol: number
  readonly type: number
  readonly priority?: number | undefined
  readonly preferredSource?: Address | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  /** The gateway is reached by this link though no prefix of it says so. */
  readonly onlink?: boolean | undefined
}

/** A route as the kernel tells it. */
export interface RouteInfo {
  readonly family: Family
  /** Canonical, `0.0.0.0/0` for a default route. */
  readonly dst: string
  readonly gateway: string | undefined
  /** Index of the link it leaves by; of a multipath route, of its first hop. */
  readonly index: number | undefined
  readonly table: number
  readonly scope: number
  readonly protocol: number
  readonly type: number
  readonly priority: number
  readonly preferredSource: string | undefined
  readonly mtu: number | undefined
  readonly advmss: number | undefined
  /** RTM_F_* and RTNH_F_*. */
  readonly flags: number
}

/** Writes a struct rtmsg and what the fields hold. */
export function putRoute(writer: MessageWriter, route: RouteFields): void {
  const { dst, gateway, preferredSource, mtu, advmss, table } = route
  writer.u8(familyNumber(dst.family)).u8(dst.length).u8(0).u8(0)
  // A table past 255 does not fit the header; the attribute counts then.
  writer.u8(table < 256 ? table : c.RT_TABLE_UNSPEC)
  writer.u8(route.protocol).u8(route.scope).u8(route.type)
  writer.u32(route.onlink ? c.RTNH_F_ONLINK : 0)
  if (dst.length > 0) writer.attr(c.RTA_DST, dst.bytes)
  if (gateway !== undefined) putGateway(writer, dst.family, gateway)
  if (preferredSource !== undefined) writer.attr(c.RTA_PREFSRC, preferredSource.bytes)
  if (table >= 256) writer.attrU32(c.RTA_TABLE, table)
  if (route.priority !== undefined) writer.attrU32(c.RTA_PRIORITY, route.priority)
  if (route.index !== undefined) writer.attrU32(c.RTA_OIF, route.index)
  if (mtu !== undefined || advmss !== undefined) {
    writer.nested(c.RTA_METRICS, () => {
      if (mtu !== undefined) writer.attrU32(c.RTAX_MTU, mtu)
      if (advmss !== undefined) writer.attrU32(c.RTAX_ADVMSS, advmss)
    })
  }
}

/** A gateway of the other family is told by RTA_VIA: struct rtvia, family (2) and address. */
function putGateway(writer: MessageWriter, family: Family, gateway: Address): void {
  if (gateway.family === family) {
    writer.attr(c.RTA_GATEWAY, gateway.bytes)
    return
  }
  const via = new Uint8Array(2 + gateway.bytes.byteLength)
  via[0] = familyNumber(gateway.family)
  via.set(gateway.bytes, 2)
  writer.attr(c.RTA_VIA, via)
}

/**
 * Reads RTM_NEWROUTE or RTM_DELROUTE; undefined for a family that is neither IPv4 nor IPv6.
 *
 * @throws LariatError code `decode`
 */
export function decodeRoute({ payload }: Message): RouteInfo | undefined {
  const { header, attributes } = parseBody(payload, RTMSG_BYTES, "a route message")
  const family = familyOfNumber(header.getUint8(0))
  if (family === undefined) return undefined
  const metrics = attributes.nested(c.RTA_METRICS)
  const multipath = attributes.get(c.RTA_MULTIPATH)
  const hop = multipath === undefined ? undefined : firstHop(multipath)
  return {
    family,
    dst: destination(family, header.getUint8(1), attributes.get(c.RTA_DST)),
    gateway: gatewayOf(family, hop?.attributes ?? attributes),
    index: hop?.index ?? attributes.u32(c.RTA_OIF),
    table: attributes.u32(c.RTA_TABLE) ?? header.getUint8(4),
    protocol: header.getUint8(5),
    scope: header.getUint8(6),
    type: header.getUint8(7),
    flags: header.getUint32(8, true),
    priority: attributes.u32(c.RTA_PRIORITY) ?? 0,
    preferredSource: addressText(family, attributes.get(c.RTA_PREFSRC)),
    mtu: metrics.u32(c.RTAX_MTU),
    advmss: metrics.u32(c.RTAX_ADVMSS),
  }
}

function destination(family: Family, length: number, dst: Uint8Array | undefined): string {
  const bytes = dst ?? new Uint8Array(familyBytes(family))
  if (bytes.byteLength !== familyBytes(family)) throw malformed("no fitting destination")
  if (length > bytes.byteLength * 8) throw malformed(`a prefix length of ${length}`)
  return formatPrefix({ family, bytes, length })
}

function gatewayOf(family: Family, attributes: Attributes): string | undefined {
  const via = attributes.get(c.RTA_VIA)
  if (via === undefined) return addressText(family, attributes.get(c.RTA_GATEWAY))
  const viaFamily = familyOfNumber(attributes.u16(c.RTA_VIA) ?? 0)
  return viaFamily === undefined ? undefined : addressText(viaFamily, via.subarray(2))
}

/** Of a multipath route. */
function firstHop(multipath: Uint8Array): {
  readonly index: number
  readonly attributes: Attributes
} {
  const view = new DataView(multipath.buffer, multipath.byteOffset, multipath.byteLength)
  const length = multipath.byteLength < RTNEXTHOP_BYTES ? 0 : view.getUint16(0, true)
  if (length < RTNEXTHOP_BYTES || length > multipath.byteLength) throw malformed("a wrong next hop")
  return {
    index: view.getUint32(4, true),
    attributes: parseAttributes(multipath.subarray(RTNEXTHOP_BYTES, length)),
  }
}

function malformed(what: string): LariatError {
  return new LariatError(`Cannot read a route message: it has ${what}`, { code: "decode" })
}
