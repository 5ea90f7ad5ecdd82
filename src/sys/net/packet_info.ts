/** By which of the host's addresses a datagram came, and by which one is to leave: RFC 3542 §6. */

import { type ControlMessage, encodeControl } from "./message_header.ts"

interface Layout {
  /** IPPROTO_IP, IPPROTO_IPV6. */
  readonly level: number
  /** Type of the ancillary data: IP_PKTINFO of include/uapi/linux/in.h, IPV6_PKTINFO of in6.h. */
  readonly type: number
  /** The option that asks for it on receipt: IP_PKTINFO, IPV6_RECVPKTINFO. */
  readonly receiveOption: number
  /** Bytes of struct in_pktinfo, in6_pktinfo. */
  readonly size: number
  /** Where the local address lies: ipi_spec_dst, ipi6_addr. */
  readonly addressAt: number
  readonly addressBytes: number
}

export const PACKET_INFO: Readonly<Record<4 | 6, Layout>> = {
  4: { level: 0, type: 8, receiveOption: 8, size: 12, addressAt: 4, addressBytes: 4 },
  6: { level: 41, type: 50, receiveOption: 49, size: 20, addressAt: 0, addressBytes: 16 },
}

/** Ancillary data that sends from an address; the route chooses the device. */
export function encodePacketInfo(family: 4 | 6, source: Uint8Array): Uint8Array {
  const { level, type, size, addressAt } = PACKET_INFO[family]
  const data = new Uint8Array(size)
  data.set(source, addressAt)
  return encodeControl([{ level, type, data }])
}

/** The own address that a datagram came to; a copy, undefined where the kernel did not say. */
export function localAddressOf(
  family: 4 | 6,
  control: readonly ControlMessage[],
): Uint8Array | undefined {
  const { level, type, size, addressAt, addressBytes } = PACKET_INFO[family]
  const found = control.find((one) => one.level === level && one.type === type)
  if (found === undefined || found.data.length < size) return undefined
  return found.data.slice(addressAt, addressAt + addressBytes)
}
