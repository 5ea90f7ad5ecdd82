import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { packetKind, parseIp } from "./packet_kind.ts"

const kindOf = packetKind({ overlay: ["10.42.0.0/16", "fd00:42::/64"] })
const u16 = (value: number) => [value >> 8, value & 0xff]
const v4 = (address: string) => address.split(".").map(Number)
const frame = (type: number, bytes: readonly number[]) =>
  Uint8Array.from([...Array(12).fill(2), ...u16(type), ...bytes])

/** An IPv4 packet. */
function ip4(from: string, to: string, protocol: number, payload: readonly number[], offset = 0) {
  const head = [0x45, 0, ...u16(20 + payload.length), 0, 0, ...u16(offset), 64, protocol, 0, 0]
  return [...head, ...v4(from), ...v4(to), ...payload]
}

/** An IPv6 packet whose addresses begin with these bytes. */
function ip6(from: readonly number[], protocol: number, payload: readonly number[]) {
  const address = [...from, ...Array(16 - from.length).fill(1)]
  return [0x60, 0, 0, 0, ...u16(payload.length), protocol, 64, ...address, ...address, ...payload]
}

const udp = (from: number, to: number, payload: readonly number[]) => [
  ...[...u16(from), ...u16(to), ...u16(8 + payload.length), 0, 0],
  ...payload,
]
const [A, B] = ["203.0.113.11", "203.0.113.12"]
const between = (protocol: number, payload: readonly number[]) =>
  frame(0x0800, ip4(A, B, protocol, payload))
const inside = ip4("10.42.0.2", "10.42.1.2", 1, [8, 0, 0, 0, 0, 0, 0, 0])
const vxlan = [8, 0, 0, 0, 0, 4, 18, 0, ...frame(0x0800, inside)]
const sixInside = ip6([0xfd, 0, 0, 0x42, 0, 0, 0, 0], 58, [128, 0, 0, 0])
const arp = (...addresses: string[]) => [
  ...[0, 1, 8, 0, 6, 4, 0, 1],
  ...addresses.flatMap((each) => [2, 2, 2, 2, 2, 2, ...v4(each)]),
]

describe("a frame between hosts", () => {
  test.each([
    ["esp", between(50, [0, 0, 1, 0, 0, 0, 0, 1])],
    ["udp-esp", between(17, udp(4500, 4500, [0, 0, 1, 0, 0, 0, 0, 1]))],
    ["keepalive", between(17, udp(4500, 4500, [0xff]))],
    ["udp", between(17, udp(4500, 4500, [0, 0, 0, 0, 1, 2]))],
    ["wireguard", between(17, udp(40_000, 51_820, [4, 0, 0, 0]))],
    ["tcp", between(6, Array(20).fill(0))],
    ["icmp", between(1, [8, 0, 0, 0])],
    ["clear", frame(0x0800, inside)],
    ["clear", frame(0x86dd, sixInside)],
    ["clear", between(17, udp(50_000, 4789, vxlan))],
    ["clear", between(4, inside)],
    ["clear", between(1, [3, 4, 0, 0, 0, 0, 5, 0, ...inside])],
    ["icmp", between(1, [8, 0, 0, 0, 0, 0, 0, 0, ...inside])],
    ["fragment", frame(0x0800, ip4(A, B, 17, [1, 2, 3], 7))],
    ["arp", frame(0x0806, arp(A, B))],
    ["clear", frame(0x0806, arp("10.42.0.2", "10.42.1.2"))],
    ["udp", between(17, [1, 2])],
    ["other", frame(0x88cc, [1, 2, 3])],
    ["other", new Uint8Array(3)],
    // With an extension header before ESP.
    ["esp", frame(0x86dd, ip6([0x20, 1], 60, [50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]))],
  ] as const)("%s", (kind, bytes) => {
    expect(kindOf(bytes)).toBe(kind)
  })
})

test("ports may be others", () => {
  const other = packetKind({ overlay: ["10.42.0.0/16"], ports: { esp: 1, vxlan: 2, wireguard: 3 } })
  expect(other(between(17, udp(9, 2, vxlan)))).toBe("clear")
  expect(other(between(17, udp(9, 4789, vxlan)))).toBe("udp")
  expect(other(between(17, udp(1, 9, [1, 1, 1, 1, 1])))).toBe("udp-esp")
  expect(other(between(17, udp(9, 3, [1])))).toBe("wireguard")
})

test("any bytes are of some kind", () => {
  const types = fc.constantFrom(0x0800, 0x86dd, 0x0806, 0)
  const bytes = fc.uint8Array({ maxLength: 120 })
  fc.assert(
    fc.property(types, bytes, (type, rest) => {
      expect(kindOf(frame(type, [...rest]))).toBeString()
      expect(kindOf(rest)).toBeString()
      parseIp(rest)
    }),
  )
})
