import { describe, expect, test } from "bun:test"
import {
  data,
  esp,
  frame,
  inside,
  letter,
  outside,
  PORTS,
  vxlan,
} from "../../test/fixtures/demo/frames.ts"
import { WireCapture } from "./wire_capture.ts"

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
