/** Sets and maps of nftables: messages and what the kernel answers. */

import { NLM_F_CREATE } from "../constants.ts"
import type { Message, MessageWriter } from "../message.ts"
import * as n from "./constants.ts"
import { missing, nest, nftMessage, parseNft } from "./message.ts"
import { describeTable, type TableRef } from "./table.ts"
import {
  commentField,
  commentOf,
  encodeUserdata,
  numberField,
  type UserdataField,
} from "./userdata.ts"

/** One part of a key: a type that `nft list` shows (TYPE_*), and its size. */
export interface KeyField {
  readonly type: number
  /** Bytes without padding; in a concatenation each field is padded to 4. */
  readonly length: number
  /** BYTEORDER_*, for `nft list`. */
  readonly order: number
  /**
   * Where packets have it, for `nft`, which reads back what it lists only where it knows that of each
   * field. Default: the type says enough.
   */
  readonly place?: PayloadPlace | undefined
}

/** A field of a header that `nft` knows (PROTO_DESC_*), or bits from the transport header on. */
export type PayloadPlace =
  | { readonly header: number; readonly field: number }
  | { readonly offset: number; readonly bits: number }

export const SOURCE4: PayloadPlace = { header: n.PROTO_DESC_IP, field: n.IPHDR_SADDR }
export const SOURCE6: PayloadPlace = { header: n.PROTO_DESC_IP6, field: n.IP6HDR_SADDR }
export const UDP_PORT: PayloadPlace = { header: n.PROTO_DESC_UDP, field: n.UDPHDR_DPORT }

/** Bytes behind the transport header's begin, that `nft` has no name for. */
export function bytesKey(offset: number, length: number): KeyField {
  return {
    type: n.TYPE_INTEGER,
    length,
    order: n.BYTEORDER_BIG_ENDIAN,
    place: { offset: offset * 8, bits: length * 8 },
  }
}

export const IPV4_KEY: KeyField = {
  type: n.TYPE_IPADDR,
  length: 4,
  order: n.BYTEORDER_BIG_ENDIAN,
}
export const IPV6_KEY: KeyField = {
  type: n.TYPE_IP6ADDR,
  length: 16,
  order: n.BYTEORDER_BIG_ENDIAN,
}
/** An interface's number, as `interfaceIndex` makes it. */
export const IFINDEX_KEY: KeyField = {
  type: n.TYPE_IFINDEX,
  length: 4,
  order: n.BYTEORDER_HOST_ENDIAN,
}
export const ETHER_KEY: KeyField = {
  type: n.TYPE_ETHERADDR,
  length: 6,
  order: n.BYTEORDER_BIG_ENDIAN,
}
/** An interface name, as `interfaceName` makes it. */
export const IFNAME_KEY: KeyField = {
  type: n.TYPE_IFNAME,
  length: 16,
  order: n.BYTEORDER_HOST_ENDIAN,
}

export const PORT_KEY: KeyField = {
  type: n.TYPE_INET_SERVICE,
  length: 2,
  order: n.BYTEORDER_BIG_ENDIAN,
}
/** An IANA protocol number. */
export const PROTOCOL_KEY: KeyField = {
  type: n.TYPE_INET_PROTOCOL,
  length: 1,
  order: n.BYTEORDER_BIG_ENDIAN,
}

export interface SetSpec {
  readonly name: string
  /** More than one field makes a concatenation. */
  readonly key: readonly KeyField[]
  /** Whether elements are intervals. Default false. */
  readonly interval?: boolean
  /** Elements are added by rules: how many there may be, and when an unused one goes. */
  readonly dynamic?: { readonly size: number; readonly timeoutMs?: number } | undefined
  /** What a map gives. Default: a set. */
  readonly data?: KeyField | undefined
  readonly comment?: string | undefined
  /** Unique in a transaction, for rules that refer to it by number. Default 1. */
  readonly id?: number
}

/** "set a of table inet b", for errors. */
export function describeSet(ref: TableRef, name: string): string {
  return `set ${name} of ${describeTable(ref)}`
}

function padded(length: number): number {
  return (length + 3) & ~3
}

/** NFT_SET_* of a set. */
export function setFlags(set: SetSpec): number {
  const { key, interval = false, data, dynamic } = set
  return (
    (dynamic === undefined ? 0 : n.NFT_SET_EVAL) |
    (dynamic?.timeoutMs === undefined ? 0 : n.NFT_SET_TIMEOUT) |
    (interval ? n.NFT_SET_INTERVAL : 0) |
    (interval && key.length > 1 ? n.NFT_SET_CONCAT : 0) |
    (data === undefined ? 0 : n.NFT_SET_MAP)
  )
}

/** Bytes of a key. */
export function keyLength({ key }: SetSpec): number {
  if (key.length === 1) return key[0]?.length ?? 0
  return key.reduce((sum, field) => sum + padded(field.length), 0)
}

/** The number by which `nft list` knows the type of a key. */
export function keyType({ key }: SetSpec): number {
  return key.reduce((sum, { type }) => (sum << n.TYPE_BITS) | type, 0)
}

/** Makes a set. */
export function newSet(ref: TableRef, set: SetSpec): MessageWriter {
  const operation = `make ${describeSet(ref, set.name)}`
  const flags = NLM_F_CREATE
  const writer = nftMessage(n.NFT_MSG_NEWSET, ref.family, { operation, flags })
  writer.attrString(n.NFTA_SET_TABLE, ref.table).attrString(n.NFTA_SET_NAME, set.name)
  writer.attrU32be(n.NFTA_SET_FLAGS, setFlags(set)).attrU32be(n.NFTA_SET_KEY_TYPE, keyType(set))
  writer.attrU32be(n.NFTA_SET_KEY_LEN, keyLength(set))
  if (set.data !== undefined) {
    writer.attrU32be(n.NFTA_SET_DATA_TYPE, set.data.type)
    writer.attrU32be(n.NFTA_SET_DATA_LEN, set.data.length)
  }
  writer.attrU32be(n.NFTA_SET_ID, set.id ?? 1)
  if ((setFlags(set) & n.NFT_SET_CONCAT) !== 0) writeFields(writer, set)
  const { dynamic } = set
  if (dynamic !== undefined) {
    nest(writer, n.NFTA_SET_DESC, () => writer.attrU32be(n.NFTA_SET_DESC_SIZE, dynamic.size))
  }
  if (dynamic?.timeoutMs !== undefined) {
    writer.attrU64be(n.NFTA_SET_TIMEOUT, BigInt(dynamic.timeoutMs))
  }
  return writer.attr(n.NFTA_SET_USERDATA, encodeUserdata(setUserdata(set)))
}

/** The kernel's interval sets over several fields want to know where each begins. */
function writeFields(writer: MessageWriter, { key }: SetSpec): void {
  nest(writer, n.NFTA_SET_DESC, () =>
    nest(writer, n.NFTA_SET_DESC_CONCAT, () => {
      for (const { length } of key) {
        nest(writer, n.NFTA_LIST_ELEM, () => writer.attrU32be(n.NFTA_SET_FIELD_LEN, length))
      }
    }),
  )
}

function setUserdata({ key, data, comment }: SetSpec): UserdataField[] {
  const [only] = key
  const order = key.length > 1 || only === undefined ? n.BYTEORDER_INVALID : only.order
  const fields = [numberField(n.NFTNL_UDATA_SET_KEYBYTEORDER, order)]
  if (data !== undefined) {
    fields.push(numberField(n.NFTNL_UDATA_SET_DATABYTEORDER, data.order))
    fields.push(numberField(n.NFTNL_UDATA_SET_DATA_INTERVAL, 0))
  }
  const places = key.flatMap(({ place }) => place ?? [])
  if (places.length === key.length) fields.push(typeOf(places))
  if (comment !== undefined) fields.push(commentField(n.NFTNL_UDATA_SET_COMMENT, comment))
  return fields
}

/** What each field of a key is. */
function typeOf(places: readonly PayloadPlace[]): UserdataField {
  const fields = places.map((place, type) => {
    const data = nested(n.NFTNL_UDATA_SET_TYPEOF_DATA, payloadFields(place))
    return nested(type, [numberField(n.NFTNL_UDATA_SET_TYPEOF_EXPR, n.EXPR_PAYLOAD), data])
  })
  return nested(n.NFTNL_UDATA_SET_KEY_TYPEOF, [
    numberField(n.NFTNL_UDATA_SET_TYPEOF_EXPR, n.EXPR_CONCAT),
    nested(n.NFTNL_UDATA_SET_TYPEOF_DATA, fields),
  ])
}

function payloadFields(place: PayloadPlace): UserdataField[] {
  if ("header" in place) {
    return [
      numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_DESC, place.header),
      numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_TYPE, place.field),
    ]
  }
  return [
    numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_DESC, n.PROTO_DESC_UNKNOWN),
    numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_TYPE, 0),
    numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_BASE, n.PROTO_BASE_TRANSPORT_HDR),
    numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_OFFSET, place.offset),
    numberField(n.NFTNL_UDATA_SET_KEY_PAYLOAD_LEN, place.bits),
  ]
}

function nested(type: number, fields: readonly UserdataField[]): UserdataField {
  return { type, value: encodeUserdata(fields) }
}

/** Asks, as a dump, for all sets of a table. */
export function getSets(ref: TableRef): MessageWriter {
  const operation = `read the sets of ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_GETSET, ref.family, { operation })
  return writer.attrString(n.NFTA_SET_TABLE, ref.table)
}

/** A set as the kernel tells it. */
export interface SetInfo {
  readonly name: string
  /** NFT_SET_* */
  readonly flags: number
  readonly keyType: number
  readonly keyLength: number
  readonly comment?: string | undefined
}

/** @throws LariatError code `decode` */
export function parseSet(message: Message): SetInfo {
  const { attributes } = parseNft(message)
  return {
    name: attributes.text(n.NFTA_SET_NAME) ?? missing("set name"),
    flags: attributes.u32be(n.NFTA_SET_FLAGS) ?? 0,
    keyType: attributes.u32be(n.NFTA_SET_KEY_TYPE) ?? 0,
    keyLength: attributes.u32be(n.NFTA_SET_KEY_LEN) ?? 0,
    comment: commentOf(attributes.get(n.NFTA_SET_USERDATA), n.NFTNL_UDATA_SET_COMMENT),
  }
}
