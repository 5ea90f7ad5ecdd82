/** Attributes of a netlink message (struct nlattr): bounds-checked reading, host byte order. */

import { LariatError } from "../errors.ts"
import { NLA_HDRLEN, NLA_TYPE_MASK, NLMSG_ALIGNTO } from "./constants.ts"

/** One attribute: its type without the NESTED and BYTEORDER flags, and a view of its payload. */
export interface Attribute {
  readonly type: number
  readonly payload: Uint8Array
}

const decoder = new TextDecoder()

/** Rounds up to the alignment of netlink, 4 bytes. */
export function align(length: number): number {
  return (length + NLMSG_ALIGNTO - 1) & ~(NLMSG_ALIGNTO - 1)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Reads a row of attributes in their order, repeated types included (lists of nftables,
 * multipath routes).
 *
 * @param bytes a message's payload after its fixed header, or the payload of a nested attribute
 * @throws LariatError code `decode` when an attribute runs over the end
 */
export function parseAttributeList(bytes: Uint8Array): Attribute[] {
  const attributes: Attribute[] = []
  const view = viewOf(bytes)
  let offset = 0
  while (offset < bytes.byteLength) {
    const left = bytes.byteLength - offset
    if (left < NLA_HDRLEN) throw malformed(offset, `${left} bytes are no attribute header`)
    const length = view.getUint16(offset, true)
    if (length < NLA_HDRLEN) throw malformed(offset, `length ${length} is below its header's`)
    if (length > left) throw malformed(offset, `length ${length} but only ${left} bytes are left`)
    attributes.push({
      type: view.getUint16(offset + 2, true) & NLA_TYPE_MASK,
      payload: bytes.subarray(offset + NLA_HDRLEN, offset + length),
    })
    offset += align(length)
  }
  return attributes
}

/**
 * Reads a row of attributes by type. Of a repeated type the last counts, as in the kernel.
 *
 * @throws LariatError code `decode`
 */
export function parseAttributes(bytes: Uint8Array): Map<number, Uint8Array> {
  const map = new Map<number, Uint8Array>()
  for (const { type, payload } of parseAttributeList(bytes)) map.set(type, payload)
  return map
}

/** An 8-bit number. @throws LariatError code `decode` when the payload is shorter */
export function readU8(payload: Uint8Array): number {
  return sized(payload, 1).getUint8(0)
}

/** A 16-bit number in host byte order. @throws LariatError code `decode` */
export function readU16(payload: Uint8Array): number {
  return sized(payload, 2).getUint16(0, true)
}

/** A 16-bit number in network byte order. @throws LariatError code `decode` */
export function readU16be(payload: Uint8Array): number {
  return sized(payload, 2).getUint16(0, false)
}

/** A 32-bit number in host byte order. @throws LariatError code `decode` */
export function readU32(payload: Uint8Array): number {
  return sized(payload, 4).getUint32(0, true)
}

/** A 32-bit number in network byte order. @throws LariatError code `decode` */
export function readU32be(payload: Uint8Array): number {
  return sized(payload, 4).getUint32(0, false)
}

/** A signed 32-bit number in host byte order. @throws LariatError code `decode` */
export function readI32(payload: Uint8Array): number {
  return sized(payload, 4).getInt32(0, true)
}

/** A 64-bit number in host byte order. @throws LariatError code `decode` */
export function readU64(payload: Uint8Array): bigint {
  return sized(payload, 8).getBigUint64(0, true)
}

/** A 64-bit number in network byte order. @throws LariatError code `decode` */
export function readU64be(payload: Uint8Array): bigint {
  return sized(payload, 8).getBigUint64(0, false)
}

/** Text up to its first zero byte, or the whole payload when it has none. */
export function readString(payload: Uint8Array): string {
  const end = payload.indexOf(0)
  return decoder.decode(end < 0 ? payload : payload.subarray(0, end))
}

function sized(payload: Uint8Array, size: number): DataView {
  if (payload.byteLength < size) {
    throw new LariatError(
      `Cannot read a netlink attribute: ${size} bytes expected, ${payload.byteLength} are there`,
      { code: "decode" },
    )
  }
  return viewOf(payload)
}

function malformed(offset: number, why: string): LariatError {
  return new LariatError(`Cannot read netlink attributes at byte ${offset}: ${why}`, {
    code: "decode",
  })
}
