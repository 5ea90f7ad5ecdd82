/** What a captured frame is, in words: what somebody on the wire can tell of it. Frames of one flow
 * have the same words. */

import { formatAddress } from "../core/address.ts"
import { type IpPacket, parseIp } from "./packet_kind.ts"

/** One frame, described. */
export interface FrameText {
  /** "203.0.113.11 → 203.0.113.12"; empty where it is no IP. */
  readonly route: string
  /** "ESP" and which association, "VXLAN" and what is in it. */
  readonly what: string
}

const ETH_HLEN = 14
const UDP_HLEN = 8
/** RFC 7348 §5 */
const VXLAN_HLEN = 8
/** include/uapi/linux/in.h */
const IPPROTO_UDP = 17
const IPPROTO_ESP = 50
const NAMES: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" }
/** WireGuard's message that carries data. */
const WIREGUARD_DATA = 4

/** UDP ports that say what a datagram is. */
export interface CarrierPorts {
  readonly esp: number
  readonly vxlan: number
  readonly wireguard: number
}

/** Describes a whole Ethernet frame. */
export function frameText(frame: Uint8Array, ports: CarrierPorts): FrameText {
  const packet = parseIp(frame.subarray(ETH_HLEN))
  if (packet === undefined) return { route: "", what: "no IP" }
  return { route: routeText(packet), what: whatText(packet, ports) }
}

function routeText({ source, destination }: IpPacket): string {
  return `${formatAddress(source)} → ${formatAddress(destination)}`
}

function whatText(packet: IpPacket, ports: CarrierPorts): string {
  const { protocol, payload } = packet
  if (protocol === IPPROTO_ESP) return espText(payload)
  if (protocol !== IPPROTO_UDP || payload.length < UDP_HLEN) return nameOf(protocol)
  const view = viewOf(payload)
  const port = view.getUint16(2)
  const inside = payload.subarray(UDP_HLEN)
  if (port === ports.vxlan) return vxlanText(inside)
  if (port === ports.wireguard || view.getUint16(0) === ports.wireguard)
    return wireguardText(inside)
  if (port === ports.esp) return `${espText(inside)}, in UDP`
  return `UDP port ${port}`
}

/** RFC 4303 §2. */
function espText(payload: Uint8Array): string {
  if (payload.length < 8) return "ESP"
  return `ESP, SPI 0x${viewOf(payload).getUint32(0).toString(16).padStart(8, "0")}`
}

function vxlanText(payload: Uint8Array): string {
  if (payload.length < VXLAN_HLEN) return "VXLAN"
  const vni = viewOf(payload).getUint32(4) >>> 8
  const packet = parseIp(payload.subarray(VXLAN_HLEN + ETH_HLEN))
  const inside = packet === undefined ? "" : `: ${routeText(packet)} ${nameOf(packet.protocol)}`
  return `VXLAN ${vni}${inside}`
}

function wireguardText(payload: Uint8Array): string {
  return payload[0] === WIREGUARD_DATA ? "WireGuard, data" : "WireGuard, handshake"
}

function nameOf(protocol: number): string {
  return NAMES[protocol] ?? `IP protocol ${protocol}`
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
