/** Frames as they pass a cable between two hosts, for the tests of what is read of them. */

/** The ports that the network's drivers use. */
export const PORTS = { esp: 4500, vxlan: 4789, wireguard: 51_820 }
const u16 = (value: number) => [value >> 8, value & 0xff]
const v4 = (address: string) => address.split(".").map(Number)

function ip4(from: string, to: string, protocol: number, payload: readonly number[]): number[] {
  const head = [0x45, 0, ...u16(20 + payload.length), 0, 0, 0, 0, 64, protocol, 0, 0]
  return [...head, ...v4(from), ...v4(to), ...payload]
}

/** An Ethernet frame around a packet; `type` is IPv4's unless told. */
export const frame = (packet: readonly number[], type = 0x0800) =>
  Uint8Array.from([...Array(12).fill(2), ...u16(type), ...packet])
/** UDP to a port. */
export const udp = (port: number, payload: readonly number[]) => [
  ...[...u16(40_000), ...u16(port), ...u16(8 + payload.length), 0, 0],
  ...payload,
]
/** What one host sends another, of an IP protocol. */
export const outside = (protocol: number, payload: readonly number[]) =>
  frame(ip4("203.0.113.11", "203.0.113.12", protocol, payload))
/** Of SPI 0x00011041. */
export const esp = [0, 1, 0x10, 0x41, 0, 0, 0, 7, 1, 2, 3, 4]
/** What two containers say to each other in clear. */
export const letter = [...new TextEncoder().encode("the words")]
/** It, from container to container. */
export const inside = ip4("10.42.0.2", "10.42.1.2", 17, udp(9, letter))
/** It, in VXLAN 1042. */
export const vxlan = udp(4789, [8, 0, 0, 0, 0, 4, 18, 0, ...frame(inside)])
/** WireGuard's message of data. */
export const data = udp(51_820, [4, 0, 0, 0, 9, 9, 9, 9, 5, 0, 0, 0, 0, 0, 0, 0])
