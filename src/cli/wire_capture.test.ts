import { describe, expect, test } from "bun:test"
import { WireCapture } from "./wire_capture.ts"

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

describe("a cable", () => {
  function look(frames: readonly Uint8Array[]) {
    const waiting = [...frames]
    const wire = new WireCapture(
      { read: () => waiting.splice(0), lost: () => 2 },
      { overlay: ["10.42.0.0/16"], ports: PORTS, words: "the words" },
    )
    wire.stop()
    return { first: wire.take(), second: wire.take() }
  }

  test("what cannot be read, what can, and what is of the hosts", () => {
    const frames = [outside(50, esp), outside(17, data), outside(6, letter), frame([], 0x0806)]
    const { first, second } = look([...frames, ...Array(10).fill(outside(50, esp))])
    const route = "203.0.113.11 → 203.0.113.12"
    expect(first).toEqual({
      ...{ encrypted: 12, clear: 0, others: 2, lost: 2 },
      flows: [
        { route, what: "ESP, SPI 0x00011041", packets: 11, readable: false },
        { route, what: "WireGuard, data", packets: 1, readable: false },
      ],
    })
    expect(second).toMatchObject({ encrypted: 0, clear: 0, others: 0, flows: [] })
  })

  test("the containers' words are found wherever they stand", () => {
    const readable = (bytes: Uint8Array) => look([bytes]).first.flows.map((flow) => flow.readable)
    expect(readable(outside(17, vxlan))).toEqual([true])
    expect(readable(frame(inside))).toEqual([true])
    expect(readable(outside(50, [...esp, ...letter]))).toEqual([true])
    expect(readable(outside(50, esp))).toEqual([false])
  })
})
