/** Attributes of a netlink message (struct nlattr): bounds-checked reading, host byte order. */

import { LariatError } from "../errors.ts"
import { NLA_HDRLEN, NLA_TYPE_MASK, NLMSG_ALIGNTO } from "./constants.ts"

/** One attribute: its type without the NESTED and BYTEORDER flags, and a view of its payload. */
export interface Attribute {
  readonly type: number
  readonly payload: Uint8Array
}

/** Rounds up to the alignment of netlink, 4 bytes. */
export function align(length: number): number {
  return (length + NLMSG_ALIGNTO - 1) & ~(NLMSG_ALIGNTO - 1)
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
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
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
export function parseAttributes(bytes: Uint8Array): Attributes {
  const attributes = new Attributes()
  for (const { type, payload } of parseAttributeList(bytes)) attributes.set(type, payload)
  return attributes
}

/**
 * The fixed header of a message, and the attributes behind it.
 *
 * @param what names the message in errors, "a link message"
 * @throws LariatError code `decode` when it is shorter than its header
 */
export function parseBody(
  payload: Uint8Array,
  headerBytes: number,
  what: string,
): { readonly header: DataView; readonly attributes: Attributes } {
  if (payload.byteLength < headerBytes) {
    throw new LariatError(`Cannot read ${what}: it has ${payload.byteLength} bytes`, {
      code: "decode",
    })
  }
  const header = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  return { header, attributes: parseAttributes(payload.subarray(align(headerBytes))) }
}

/**
 * Attributes by type. What is not there is undefined; what is too short for what it is asked as is
 * a LariatError, code `decode`. Numbers are in host byte order, those of `be` in network order.
 */
export class Attributes extends Map<number, Uint8Array> {
  u8(type: number): number | undefined {
    return this.#view(type, 1)?.getUint8(0)
  }

  u16(type: number): number | undefined {
    return this.#view(type, 2)?.getUint16(0, true)
  }

  u16be(type: number): number | undefined {
    return this.#view(type, 2)?.getUint16(0, false)
  }

  u32(type: number): number | undefined {
    return this.#view(type, 4)?.getUint32(0, true)
  }

  u32be(type: number): number | undefined {
    return this.#view(type, 4)?.getUint32(0, false)
  }

  i32(type: number): number | undefined {
    return this.#view(type, 4)?.getInt32(0, true)
  }

  u64(type: number): bigint | undefined {
    return this.#view(type, 8)?.getBigUint64(0, true)
  }

  u64be(type: number): bigint | undefined {
    return this.#view(type, 8)?.getBigUint64(0, false)
  }

  text(type: number): string | undefined {
    const payload = this.get(type)
    return payload === undefined ? undefined : readString(payload)
  }

  /** Those within an attribute; none where it is not there. */
  nested(type: number): Attributes {
    return parseAttributes(this.get(type) ?? new Uint8Array(0))
  }

  /** Those within an attribute, in their order; none where it is not there. */
  list(type: number): Attribute[] {
    return parseAttributeList(this.get(type) ?? new Uint8Array(0))
  }

  #view(type: number, size: number): DataView | undefined {
    const payload = this.get(type)
    if (payload === undefined) return undefined
    if (payload.byteLength < size) {
      throw new LariatError(
        `Cannot read a netlink attribute: ${size} bytes expected, ${payload.byteLength} are there`,
        { code: "decode" },
      )
    }
    return new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  }
}

/** Text up to its first zero byte, or the whole payload when it has none. */
export function readString(payload: Uint8Array): string {
  const end = payload.indexOf(0)
  return new TextDecoder().decode(end < 0 ? payload : payload.subarray(0, end))
}

function malformed(offset: number, why: string): LariatError {
  return new LariatError(`Cannot read netlink attributes at byte ${offset}: ${why}`, {
    code: "decode",
  })
}
