/** What a frame on the underlay is, as far as an overlay's secrecy is concerned. */
import {
  type Address,
  type Family,
  type Prefix,
  parsePrefix,
  prefixContains,
} from "../core/address.ts"

/**
 * - `clear`: an address of the overlay, readable; also within VXLAN
 * - `esp`, `udp-esp`, `wireguard`: encrypted
 * - `keepalive`: one byte of RFC 3948 §2.3 that keeps a NAT's mapping
 * - `fragment`: a later part of a packet, that names no port
 * - `arp`, `icmp` (neighbour discovery included), `tcp`, `udp`: between addresses of the underlay
 */
export type PacketKind =
  | "clear"
  | "esp"
  | "udp-esp"
  | "wireguard"
  | "keepalive"
  | "fragment"
  | "arp"
  | "icmp"
  | "tcp"
  | "udp"
  | "other"

/** What {@link packetKind} goes by. */
export interface KindOptions {
  /** The overlay's subnets. */
  readonly overlay: readonly string[]
  /** UDP ports. Default: 4500 (ESP), 4789 (VXLAN), 51820 (WireGuard). */
  readonly ports?: { readonly esp?: number; readonly vxlan?: number; readonly wireguard?: number }
}

// include/uapi/linux/if_ether.h
const ETH_HLEN = 14
const ETH_P_IP = 0x0800
const ETH_P_ARP = 0x0806
const ETH_P_IPV6 = 0x86dd
// include/uapi/linux/in.h, in6.h
const IPPROTO_ICMP = 1
const IPPROTO_IPIP = 4
const IPPROTO_TCP = 6
const IPPROTO_UDP = 17
const IPPROTO_IPV6 = 41
const IPPROTO_FRAGMENT = 44
const IPPROTO_ESP = 50
const IPPROTO_ICMPV6 = 58
/** Hop-by-hop, routing and destination options: lengths in units of 8 bytes (RFC 8200 §4). */
const OPTION_HEADERS: ReadonlySet<number> = new Set([0, 43, 60])
const UDP_HLEN = 8
/** RFC 7348 §5 */
const VXLAN_HLEN = 8

/** An IP packet, taken apart as far as it goes. */
export interface IpPacket {
  readonly family: Family
  readonly source: Address
  readonly destination: Address
  /** IPPROTO_* behind all extension headers. */
  readonly protocol: number
  readonly payload: Uint8Array
  /** Not the first part of a fragmented packet. */
  readonly laterFragment: boolean
  /** Bytes, from the header's own length field. */
  readonly length: number
}

/** Makes the classifier of whole Ethernet frames. */
export function packetKind(options: KindOptions): (frame: Uint8Array) => PacketKind {
  const overlay = options.overlay.map(parsePrefix)
  const { esp = 4500, vxlan = 4789, wireguard = 51_820 } = options.ports ?? {}

  function kindOf(frame: Uint8Array): PacketKind {
    const view = viewOf(frame)
    if (frame.length < ETH_HLEN) return "other"
    const type = view.getUint16(12)
    if (type === ETH_P_ARP) return overlayArp(frame, overlay) ? "clear" : "arp"
    if (type !== ETH_P_IP && type !== ETH_P_IPV6) return "other"
    const packet = parseIp(frame.subarray(ETH_HLEN))
    return packet === undefined ? "other" : ipKind(packet)
  }

  function ipKind(packet: IpPacket): PacketKind {
    if (ofOverlay(packet.source, overlay) || ofOverlay(packet.destination, overlay)) return "clear"
    if (packet.laterFragment) return "fragment"
    switch (packet.protocol) {
      case IPPROTO_ESP:
        return "esp"
      case IPPROTO_UDP:
        return udpKind(packet.payload)
      case IPPROTO_IPIP:
      case IPPROTO_IPV6: {
        const inner = parseIp(packet.payload)
        return inner === undefined ? "other" : ipKind(inner)
      }
      case IPPROTO_ICMP:
      case IPPROTO_ICMPV6:
        return quotesOverlay(packet, overlay) ? "clear" : "icmp"
      case IPPROTO_TCP:
        return "tcp"
      default:
        return "other"
    }
  }

  function udpKind(datagram: Uint8Array): PacketKind {
    if (datagram.length < UDP_HLEN) return "udp"
    const view = viewOf(datagram)
    const ports = [view.getUint16(0), view.getUint16(2)]
    const payload = datagram.subarray(UDP_HLEN)
    if (view.getUint16(2) === vxlan) {
      const inner = kindOf(payload.subarray(VXLAN_HLEN))
      return inner === "other" ? "udp" : inner
    }
    if (ports.includes(esp)) {
      if (payload.length === 1 && payload[0] === 0xff) return "keepalive"
      // Four zero bytes in the place of the SPI mark IKE (RFC 3948 §2.2).
      if (payload.length > 4 && viewOf(payload).getUint32(0) !== 0) return "udp-esp"
    }
    return ports.includes(wireguard) ? "wireguard" : "udp"
  }

  return kindOf
}

/** Takes an IPv4 or IPv6 packet apart; undefined when it is none, or cut short. */
export function parseIp(bytes: Uint8Array): IpPacket | undefined {
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4) return parseIp4(bytes)
  return version === 6 ? parseIp6(bytes) : undefined
}

function parseIp4(bytes: Uint8Array): IpPacket | undefined {
  const headerBytes = ((bytes[0] ?? 0) & 0xf) * 4
  if (headerBytes < 20 || bytes.length < headerBytes) return undefined
  const view = viewOf(bytes)
  const length = view.getUint16(2)
  return {
    family: 4,
    source: { family: 4, bytes: bytes.subarray(12, 16) },
    destination: { family: 4, bytes: bytes.subarray(16, 20) },
    protocol: view.getUint8(9),
    payload: bytes.subarray(headerBytes, length),
    laterFragment: (view.getUint16(6) & 0x1fff) !== 0,
    length,
  }
}

function parseIp6(bytes: Uint8Array): IpPacket | undefined {
  if (bytes.length < 40) return undefined
  const view = viewOf(bytes)
  const length = 40 + view.getUint16(4)
  let protocol = view.getUint8(6)
  let offset = 40
  let laterFragment = false
  while (OPTION_HEADERS.has(protocol) || protocol === IPPROTO_FRAGMENT) {
    if (bytes.length < offset + 8) return undefined
    const fragment = protocol === IPPROTO_FRAGMENT
    if (fragment && view.getUint16(offset + 2) >> 3 !== 0) laterFragment = true
    protocol = view.getUint8(offset)
    offset += fragment ? 8 : (view.getUint8(offset + 1) + 1) * 8
  }
  return {
    family: 6,
    source: { family: 6, bytes: bytes.subarray(8, 24) },
    destination: { family: 6, bytes: bytes.subarray(24, 40) },
    protocol,
    payload: bytes.subarray(offset, length),
    laterFragment,
    length,
  }
}

/** An ICMP error shows the head of the packet that it is about. */
function quotesOverlay({ family, payload }: IpPacket, overlay: readonly Prefix[]): boolean {
  const type = payload[0] ?? 0
  // RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem. RFC 4443 §2.1:
  // the errors of ICMPv6 are below 128.
  const isError = family === 6 ? type < 128 : [3, 4, 5, 11, 12].includes(type)
  const quoted = isError ? parseIp(payload.subarray(8)) : undefined
  return (
    quoted !== undefined &&
    (ofOverlay(quoted.source, overlay) || ofOverlay(quoted.destination, overlay))
  )
}

/** Sender's and target's IPv4 address of RFC 826 over Ethernet. */
function overlayArp(frame: Uint8Array, overlay: readonly Prefix[]): boolean {
  const addresses = [ETH_HLEN + 14, ETH_HLEN + 24].map((at) => frame.subarray(at, at + 4))
  return addresses.some((bytes) => bytes.length === 4 && ofOverlay({ family: 4, bytes }, overlay))
}

function ofOverlay(address: Address, overlay: readonly Prefix[]): boolean {
  return overlay.some((prefix) => prefixContains(prefix, address))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
