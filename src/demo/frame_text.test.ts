import { describe, expect, test } from "bun:test"
import { data, esp, frame, outside, PORTS, udp, vxlan } from "../../test/fixtures/demo/frames.ts"
import { frameText } from "./frame_text.ts"

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
