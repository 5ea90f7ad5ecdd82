import { expect, test } from "bun:test"
import { FairTurns } from "./fair_turns.ts"
import { Sending, type SendingLimits } from "./sending.ts"

function fixture(limits: SendingLimits = {}) {
  let now = 0
  const timers = new Set<{ readonly at: number; readonly run: () => void }>()
  const schedule = (ms: number, run: () => void) => {
    const timer = { at: now + ms, run }
    timers.add(timer)
    return () => timers.delete(timer)
  }
  const turns = new FairTurns({ now: () => now, schedule })
  const pass = (ms: number): void => {
    now += ms
    for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.run()
  }
  return { sending: new Sending(turns, schedule, limits), pass, timers }
}

const PIECE = 65_536
const body = (length: number) => Uint8Array.from({ length }, (_, at) => at)

test("a body goes out whole, in pieces, and leaves nothing", async () => {
  const { sending, timers } = fixture()
  const sent = body(200_001)
  const stream = sending.stream("a", sent)
  expect(sending.bytes).toBe(200_001 + PIECE)
  const pieces: Uint8Array[] = []
  for await (const piece of stream ?? []) pieces.push(piece)
  expect(Buffer.concat(pieces).equals(sent)).toBe(true)
  expect(Math.max(...pieces.map(({ length }) => length))).toBe(65_536)
  expect([sending.bytes, timers.size]).toEqual([0, 0])
})

test("who reads nothing is cut off after a while, and who goes frees what was held", async () => {
  const { sending, pass } = fixture()
  const stalled = sending.stream("a", body(200_000))?.getReader()
  const gone = sending.stream("a", body(200_000))
  await gone?.cancel()
  expect(sending.bytes).toBe(200_000 + PIECE)
  await stalled?.read()
  pass(9999)
  await stalled?.read()
  pass(9999)
  expect(sending.bytes).toBe(200_000 + PIECE)
  pass(1)
  expect(sending.bytes).toBe(0)
  expect(stalled?.read()).rejects.toBeUndefined()
})

test("a source has its bound, but for one body", () => {
  const { sending } = fixture({ mostPerSource: 300_000 })
  expect(sending.stream("a", body(400_000))).toBeDefined()
  expect(sending.stream("a", body(1))).toBeUndefined()
  expect(sending.stream("b", body(100_000))).toBeDefined()
  expect(sending.stream("b", body(100_000))).toBeUndefined()
  expect(sending.stream("b", body(10_000))).toBeDefined()
  expect(sending.bytes).toBe(510_000 + 3 * PIECE)
})

test("one body on many ways is held once, with a piece for each", async () => {
  const { sending } = fixture({ mostPerSource: 1_000_000 + 5 * PIECE })
  const shared = body(1_000_000)
  const streams = Array.from({ length: 6 }, () => sending.stream("a", shared))
  expect(streams.map((stream) => stream !== undefined)).toEqual([
    true,
    true,
    true,
    true,
    true,
    false,
  ])
  for (const stream of streams) await stream?.cancel()
  expect(sending.bytes).toBe(0)
})

test("where there is no room in all, who has most loses its oldest", async () => {
  const { sending } = fixture({ most: 3 * (1000 + PIECE) })
  const first = sending.stream("a", body(1000))
  sending.stream("a", body(1000))
  sending.stream("b", body(1000))
  expect(sending.stream("a", body(1))).toBeUndefined()
  expect(sending.stream("c", body(1000))).toBeDefined()
  expect(sending.bytes).toBe(3 * (1000 + PIECE))
  expect(first?.getReader().read()).rejects.toBeUndefined()
  // Nobody has more than this one would have.
  expect(sending.stream("d", body(1000))).toBeUndefined()
})
