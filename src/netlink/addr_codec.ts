/** Layout of address messages (struct ifaddrmsg and IFA_* attributes). */

import { type Family, formatAddress, formatPrefix, type Prefix } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { parseBody } from "./attribute.ts"
import * as c from "./constants.ts"
import type { Message, MessageWriter } from "./message.ts"

/** Bytes of struct ifaddrmsg: family, prefix length, flags, scope (1 each), index (4). */
const IFADDRMSG_BYTES = 8

/** An address of a link as the kernel tells it. */
export interface AddressInfo {
  readonly family: Family
  /** With prefix length, canonical. */
  readonly address: string
  readonly index: number
  readonly scope: number
  /** IFA_F_*. */
  readonly flags: number
  readonly label: string
}

/** The kernel's number of an address family. */
export function familyNumber(family: Family): number {
  return family === 4 ? c.AF_INET : c.AF_INET6
}

/** The family of the kernel's number, or undefined for others (AF_MPLS, AF_BRIDGE). */
export function familyOfNumber(number: number): Family | undefined {
  if (number === c.AF_INET) return 4
  return number === c.AF_INET6 ? 6 : undefined
}

/** Bytes of an address. */
export function familyBytes(family: Family): number {
  return family === 4 ? 4 : 16
}

/** The address in an attribute, undefined where there is none. @throws LariatError code `decode` */
export function addressText(family: Family, bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined
  if (bytes.byteLength === familyBytes(family)) return formatAddress({ family, bytes })
  throw new LariatError(`Cannot read an IPv${family} address: it has ${bytes.byteLength} bytes`, {
    code: "decode",
  })
}

/** Writes a struct ifaddrmsg and the address as local and (no point-to-point) as peer. */
export function putAddress(
  writer: MessageWriter,
  fields: { readonly prefix: Prefix; readonly index: number; readonly flags?: number },
): void {
  const { prefix, flags = 0 } = fields
  const short = flags & 0xff
  writer.u8(familyNumber(prefix.family)).u8(prefix.length).u8(short).u8(0).i32(fields.index)
  writer.attr(c.IFA_LOCAL, prefix.bytes)
  // Flags past the first eight have an attribute of their own.
  if (flags !== short) writer.attrU32(c.IFA_FLAGS, flags)
  writer.attr(c.IFA_ADDRESS, prefix.bytes)
}

/**
 * Reads RTM_NEWADDR or RTM_DELADDR; undefined for a family that is neither IPv4 nor IPv6.
 *
 * @throws LariatError code `decode`
 */
export function decodeAddress({ payload }: Message): AddressInfo | undefined {
  const { header, attributes } = parseBody(payload, IFADDRMSG_BYTES, "an address message")
  const family = familyOfNumber(header.getUint8(0))
  if (family === undefined) return undefined
  // With a point-to-point address, IFA_ADDRESS is the far end.
  const bytes = attributes.get(c.IFA_LOCAL) ?? attributes.get(c.IFA_ADDRESS)
  if (bytes?.byteLength !== familyBytes(family)) throw malformed("no address")
  const length = header.getUint8(1)
  if (length > bytes.byteLength * 8) throw malformed(`a prefix length of ${length}`)
  return {
    family,
    address: formatPrefix({ family, bytes, length }),
    index: header.getInt32(4, true),
    scope: header.getUint8(3),
    flags: attributes.u32(c.IFA_FLAGS) ?? header.getUint8(2),
    label: attributes.text(c.IFA_LABEL) ?? "",
  }
}

function malformed(what: string): LariatError {
  return new LariatError(`Cannot read an address message: it has ${what}`, { code: "decode" })
}
