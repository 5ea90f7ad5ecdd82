/** A tap hears both ways of one link, whole frames, and says what it could not hold. */
import { expect, test } from "bun:test"
import { LariatError } from "../../src/errors.ts"
import { Datagrams } from "../../src/sys/net/datagram.ts"
import { FrameTap } from "../../src/sys/net/frame_tap.ts"
import { requireTestNetns } from "./guard.ts"

requireTestNetns()

const TEXT = "a letter that everybody can read"
const HERE = "127.0.0.1"
const IPPROTO_UDP = 17

function say(text: string, times = 1): void {
  const socket = Datagrams.open(HERE, 0)
  for (let n = 0; n < times; n++) socket.send(new TextEncoder().encode(text), HERE, 9)
  socket.close()
}

/** The answer that nobody listens quotes it, in ICMP. */
const isLetter = (frame: Uint8Array) =>
  frame[23] === IPPROTO_UDP && new TextDecoder("latin1").decode(frame).includes(TEXT)

test("frames come whole, sent and received", () => {
  say(TEXT)
  const tap = FrameTap.open("lo")
  try {
    expect(tap.read()).toEqual([])
    say(TEXT)
    const letters = tap.read().filter(isLetter)
    // lo receives what it sends.
    expect(letters.map(({ length }) => length)).toEqual([
      14 + 20 + 8 + TEXT.length,
      42 + TEXT.length,
    ])
    expect(tap.lost()).toBe(0)
  } finally {
    tap.close()
  }
  expect(tap.read()).toEqual([])
})

test("what there is no room for is counted", () => {
  const tap = FrameTap.open("lo")
  try {
    say("x".repeat(60_000), 2000)
    expect(tap.lost()).toBeGreaterThan(0)
    expect(tap.read(10)).toHaveLength(10)
    expect(tap.read().length).toBeGreaterThan(10)
  } finally {
    tap.close()
  }
})

test("a link that is not there", () => {
  expect(() => FrameTap.open("none0")).toThrow(LariatError)
})
