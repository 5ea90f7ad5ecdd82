/**
 * User data of nftables objects: a row of type (1 byte), length (1 byte), value. The kernel keeps
 * it unread; `nft list` prints the comments in it.
 */

import { LariatError } from "../../errors.ts"
import { NFT_USERDATA_MAXLEN } from "./constants.ts"

/** One field; `value` has at most 255 bytes. */
export interface UserdataField {
  readonly type: number
  readonly value: Uint8Array
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Longest comment, bytes without the terminating zero: NFTNL_UDATA_COMMENT_MAXLEN of libnftnl. */
const MAX_COMMENT = 128

/** A comment as a field. Text that is too long is a fault of ours. @throws LariatError internal */
export function commentField(type: number, text: string): UserdataField {
  const value = encoder.encode(`${text}\0`)
  if (value.byteLength > MAX_COMMENT + 1) {
    throw new LariatError(
      `Cannot comment an nftables object: ${value.byteLength - 1} bytes, at most ${MAX_COMMENT}`,
      { code: "internal" },
    )
  }
  return { type, value }
}

/** A 32-bit number as a field; user data is in host byte order. */
export function numberField(type: number, number: number): UserdataField {
  const value = new Uint8Array(4)
  new DataView(value.buffer).setUint32(0, number, true)
  return { type, value }
}

/** @throws LariatError internal when the sum is over the kernel's limit of 256 bytes */
export function encodeUserdata(fields: readonly UserdataField[]): Uint8Array {
  const bytes = fields.flatMap(({ type, value }) => [type, value.byteLength, ...value])
  if (bytes.length > NFT_USERDATA_MAXLEN) {
    throw new LariatError(
      `Cannot attach user data to an nftables object: ${bytes.length} bytes, at most ${NFT_USERDATA_MAXLEN}`,
      { code: "internal" },
    )
  }
  return Uint8Array.from(bytes)
}

/**
 * The comment among the fields of one type. Others write user data too, so what cannot be read
 * has no comment and is no error.
 */
export function commentOf(userdata: Uint8Array | undefined, type: number): string | undefined {
  const bytes = userdata ?? new Uint8Array()
  for (let at = 0; at + 2 <= bytes.byteLength; ) {
    const end = at + 2 + (bytes[at + 1] ?? 0)
    if (end > bytes.byteLength) return undefined
    if (bytes[at] === type) {
      const value = bytes.subarray(at + 2, end)
      const zero = value.indexOf(0)
      return decoder.decode(zero < 0 ? value : value.subarray(0, zero))
    }
    at = end
  }
  return undefined
}
