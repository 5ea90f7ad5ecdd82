/** Ethernet frames that a program in a container can make by itself. */
import { parseAddress } from "../../src/core/address.ts"
import { parseMac } from "../../src/core/mac.ts"
import { cString, libc } from "../../src/sys/ffi/libc.ts"
import { internetChecksum } from "../../src/sys/net/internet_checksum.ts"
import { sendFrame } from "../../src/sys/net/packet.ts"
import { openNetns, withNetns } from "../../src/sys/netns/netns.ts"

const ETHERTYPES = { 4: 0x0800, 6: 0x86dd } as const
/** Lengths of fixed headers, bytes. */
const IPV4_BYTES = 20
const IPV6_BYTES = 40

/** IANA protocol numbers. */
export const PROTOCOLS = { icmp: 1, udp: 17, esp: 50, icmp6: 58 } as const

export function joined(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

export function u16(value: number): number[] {
  return [value >> 8, value & 0xff]
}

export function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value & 0xffff)]
}

/** Bytes of an address. */
export function addr(text: string): Uint8Array {
  return parseAddress(text).bytes
}

/** An IP packet of the addresses' family; its checksum inside is the payload's business. */
export function packet(
  from: string,
  to: string,
  protocol: number,
  payload: Uint8Array,
  hopLimit = 64,
): Uint8Array {
  const length = payload.length
  if (parseAddress(from).family === 6) {
    return joined(
      [0x60, 0, 0, 0, ...u16(length), protocol, hopLimit],
      addr(from),
      addr(to),
      payload,
    )
  }
  const head = (checksum: number): Uint8Array =>
    joined(
      [0x45, 0, ...u16(IPV4_BYTES + length), 0, 0, 0, 0, hopLimit, protocol, ...u16(checksum)],
      addr(from),
      addr(to),
    )
  return joined(head(internetChecksum(head(0))), payload)
}

/** ICMPv6 with its checksum, RFC 4443 §2.3. */
export function icmp6(from: string, to: string, type: number, body: Uint8Array): Uint8Array {
  const message = (checksum: number): Uint8Array => joined([type, 0, ...u16(checksum)], body)
  const pseudo = joined(
    ...[addr(from), addr(to), u32(body.length + 4), [0, 0, 0, PROTOCOLS.icmp6]],
    message(0),
  )
  return packet(from, to, PROTOCOLS.icmp6, message(internetChecksum(pseudo)), 255)
}

/** ICMP with its checksum, RFC 792. */
export function icmp(from: string, to: string, type: number, code: number, body: Uint8Array) {
  const message = (checksum: number): Uint8Array => joined([type, code, ...u16(checksum)], body)
  return packet(from, to, PROTOCOLS.icmp, message(internetChecksum(message(0))))
}

/** UDP; over IPv4 without a checksum, which is allowed there. */
export function udp(from: string, to: string, port: number, payload: Uint8Array): Uint8Array {
  const datagram = (checksum: number): Uint8Array =>
    joined(u16(40_000), u16(port), u16(8 + payload.length), u16(checksum), payload)
  if (parseAddress(from).family === 4) return packet(from, to, PROTOCOLS.udp, datagram(0))
  const pseudo = joined(
    ...[addr(from), addr(to), u32(8 + payload.length), [0, 0, 0, PROTOCOLS.udp]],
    datagram(0),
  )
  return packet(from, to, PROTOCOLS.udp, datagram(internetChecksum(pseudo)))
}

/** A frame in VXLAN, RFC 7348 §5. */
export function vxlan(vni: number, inner: Uint8Array): Uint8Array {
  return joined([0x08, 0, 0, 0, ...u32(vni << 8)], inner)
}

export function frame(to: string, from: string, content: Uint8Array): Uint8Array {
  const type = (content[0] ?? 0) >> 4 === 6 ? ETHERTYPES[6] : ETHERTYPES[4]
  return joined(parseMac(to), parseMac(from), u16(type), content)
}

/** Sends a frame out of an interface of a named namespace. */
export function sendFrom(netns: string, ifname: string, bytes: Uint8Array): void {
  const space = openNetns(`/run/netns/${netns}`)
  try {
    withNetns(space, () => {
      sendFrame(
        libc.if_nametoindex(cString(ifname)),
        bytes,
        ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0),
      )
    })
  } finally {
    space.close()
  }
}

/** The whole of a packet's header and 8 bytes: what errors quote. */
export function quoted(content: Uint8Array): Uint8Array {
  return content.slice(0, ((content[0] ?? 0) >> 4 === 6 ? IPV6_BYTES : IPV4_BYTES) + 8)
}
