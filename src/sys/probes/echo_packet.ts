/** Echo requests and replies (RFC 792, RFC 4443 §4) of an exact size, as bytes. */

import { internetChecksum } from "../net/internet_checksum.ts"

/** Type, code, checksum, identifier, sequence number. */
const ICMP_HEADER_BYTES = 8
/** What a reply must bring back beside its numbers, so that nobody off the path can make one up. */
const COOKIE_BYTES = 8

/** What differs between the families. */
interface EchoLayout {
  /** Of the IP header without options, bytes. */
  readonly ipHeaderBytes: number
  readonly request: number
  readonly reply: number
}

export const ECHO_LAYOUT: Readonly<Record<4 | 6, EchoLayout>> = {
  4: { ipHeaderBytes: 20, request: 8, reply: 0 },
  6: { ipHeaderBytes: 40, request: 128, reply: 129 },
}

/** The smallest and the largest IP packet of an echo request, bytes. */
export function echoPacketLimits(family: 4 | 6): { readonly min: number; readonly max: number } {
  const { ipHeaderBytes } = ECHO_LAYOUT[family]
  // The length field of RFC 791 counts the header, that of RFC 8200 does not.
  const max = family === 4 ? 65_535 : 65_535 + ipHeaderBytes
  return { min: ipHeaderBytes + ICMP_HEADER_BYTES + COOKIE_BYTES, max }
}

/** What tells one echo from all others. */
export interface EchoMark {
  /** 16 bits. */
  readonly id: number
  /** 16 bits. */
  readonly sequence: number
  /** 64 random bits. */
  readonly cookie: bigint
}

/**
 * An echo request without its IP header.
 *
 * @param packetBytes of the whole IP packet, within {@link echoPacketLimits}
 */
export function encodeEcho(family: 4 | 6, mark: EchoMark, packetBytes: number): Uint8Array {
  const { ipHeaderBytes, request } = ECHO_LAYOUT[family]
  const bytes = new Uint8Array(packetBytes - ipHeaderBytes)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, request)
  view.setUint16(4, mark.id, false)
  view.setUint16(6, mark.sequence, false)
  view.setBigUint64(ICMP_HEADER_BYTES, mark.cookie, false)
  // ICMPv6's covers addresses too (RFC 4443 §2.3): the kernel writes it.
  if (family === 4) view.setUint16(2, internetChecksum(bytes), false)
  return bytes
}

/** What a raw socket received. */
export interface EchoReply extends EchoMark {
  /** Of the whole IP packet, its options not counted. */
  readonly packetBytes: number
}

/**
 * Reads an echo reply as a raw socket gives it: with its IP header over IPv4, without over IPv6.
 * Undefined: something else.
 */
export function parseEchoReply(family: 4 | 6, received: Uint8Array): EchoReply | undefined {
  const start = family === 4 ? ((received[0] ?? 0) & 0xf) * 4 : 0
  return parseEcho(family, received.subarray(start), ECHO_LAYOUT[family].reply)
}

/**
 * Reads the head of an own request as an ICMP error quotes it: RFC 792 demands no more than 8
 * bytes, so that the cookie is there or not.
 */
export function parseQuotedEcho(
  family: 4 | 6,
  quoted: Uint8Array,
): (Omit<EchoMark, "cookie"> & { readonly cookie: bigint | undefined }) | undefined {
  if (quoted.length < ICMP_HEADER_BYTES || quoted[0] !== ECHO_LAYOUT[family].request) return
  const view = new DataView(quoted.buffer, quoted.byteOffset, quoted.byteLength)
  const whole = quoted.length >= ICMP_HEADER_BYTES + COOKIE_BYTES
  return {
    id: view.getUint16(4, false),
    sequence: view.getUint16(6, false),
    cookie: whole ? view.getBigUint64(ICMP_HEADER_BYTES, false) : undefined,
  }
}

function parseEcho(family: 4 | 6, message: Uint8Array, type: number): EchoReply | undefined {
  if (message.length < ICMP_HEADER_BYTES + COOKIE_BYTES || message[0] !== type) return undefined
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  return {
    id: view.getUint16(4, false),
    sequence: view.getUint16(6, false),
    cookie: view.getBigUint64(ICMP_HEADER_BYTES, false),
    packetBytes: ECHO_LAYOUT[family].ipHeaderBytes + message.length,
  }
}
