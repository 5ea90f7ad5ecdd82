import { describe, expect, test } from "bun:test"
import { frameText } from "./frame_text.ts"

const PORTS = { esp: 4500, vxlan: 4789, wireguard: 51_820 }
const u16 = (value: number) => [value >> 8, value & 0xff]
const v4 = (address: string) => address.split(".").map(Number)

function ip4(from: string, to: string, protocol: number, payload: readonly number[]): number[] {
  const head = [0x45, 0, ...u16(20 + payload.length), 0, 0, 0, 0, 64, protocol, 0, 0]
  return [...head, ...v4(from), ...v4(to), ...payload]
}

const frame = (packet: readonly number[], type = 0x0800) =>
  Uint8Array.from([...Array(12).fill(2), ...u16(type), ...packet])
const udp = (port: number, payload: readonly number[]) => [
  ...[...u16(40_000), ...u16(port), ...u16(8 + payload.length), 0, 0],
  ...payload,
]
const outside = (protocol: number, payload: readonly number[]) =>
  frame(ip4("203.0.113.11", "203.0.113.12", protocol, payload))
const esp = [0, 1, 0x10, 0x41, 0, 0, 0, 7, 1, 2, 3, 4]
const letter = [...new TextEncoder().encode("the words")]
const inside = ip4("10.42.0.2", "10.42.1.2", 17, udp(9, letter))
const vxlan = udp(4789, [8, 0, 0, 0, 0, 4, 18, 0, ...frame(inside)])
const data = udp(51_820, [4, 0, 0, 0, 9, 9, 9, 9, 5, 0, 0, 0, 0, 0, 0, 0])

describe("a frame in words", () => {
  test.each([
    ["ESP, SPI 0x00011041", outside(50, esp)],
    ["ESP, SPI 0x00011041, in UDP", outside(17, udp(4500, esp))],
    ["ESP", outside(50, [1])],
    ["VXLAN 1042: 10.42.0.2 → 10.42.1.2 UDP", outside(17, vxlan)],
    ["VXLAN", outside(17, udp(4789, [8]))],
    ["WireGuard, data", outside(17, data)],
    ["WireGuard, handshake", outside(17, udp(51_820, [1, 0, 0, 0]))],
    ["UDP port 53", outside(17, udp(53, []))],
    ["TCP", outside(6, [])],
    ["IP protocol 132", outside(132, [])],
  ])("%s", (what, bytes) => {
    const route = "203.0.113.11 → 203.0.113.12"
    expect(frameText(bytes, PORTS)).toEqual({ route, what })
  })

  test("what is no IP has no route", () => {
    expect(frameText(frame([1, 2, 3], 0x0806), PORTS)).toEqual({ route: "", what: "no IP" })
  })
})
