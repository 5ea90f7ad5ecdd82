import { afterEach, beforeEach, expect, jest, test } from "bun:test"
import { FairShare, type Share } from "./fair_share.ts"

let now = 0
beforeEach(() => {
  now = 0
  jest.useFakeTimers()
})
afterEach(() => jest.useRealTimers())

const fairShare = () => new FairShare({ now: () => now, perSecond: 1000, burst: 10 })

function run(fair: FairShare, share: Share, work: () => void): void {
  if (fair.admits(share)) work()
  else fair.defer(share, work)
}

function pass(ms: number): void {
  for (let step = 0; step < ms; step++) {
    now += 1
    jest.advanceTimersByTime(1)
  }
}

test("who is alone is never put off", () => {
  const fair = fairShare()
  const one = fair.share()
  let done = 0
  for (let count = 0; count < 10_000; count++) run(fair, one, () => done++)
  expect(done).toBe(10_000)
})

test("a flood waits as soon as another asks, the other does not", () => {
  const fair = fairShare()
  const [flood, other] = [fair.share(), fair.share()]
  let [floods, others] = [0, 0]
  for (let count = 0; count < 1000; count++) run(fair, flood, () => floods++)
  run(fair, other, () => others++)
  expect([floods, others]).toEqual([1000, 1])
  // What it spent while it was alone is spent.
  for (let count = 0; count < 1000; count++) run(fair, flood, () => floods++)
  expect(floods).toBe(1000)
  pass(100)
  expect(floods).toBeGreaterThanOrEqual(1090)
  expect(floods).toBeLessThanOrEqual(1110)
  run(fair, other, () => others++)
  expect(others).toBe(2)
})

test("what waits is done in order, and all of it", () => {
  const fair = fairShare()
  const [flood, other] = [fair.share(), fair.share()]
  run(fair, other, () => undefined)
  const done: number[] = []
  for (let count = 0; count < 50; count++) run(fair, flood, () => done.push(count))
  expect(done.length).toBe(10)
  pass(1000)
  expect(done).toEqual(Array.from({ length: 50 }, (_, index) => index))
  expect(fair.isRested(flood)).toBe(true)
})

test("who is alone again for a minute is not put off", () => {
  const fair = fairShare()
  const [flood, other] = [fair.share(), fair.share()]
  run(fair, other, () => undefined)
  now += 60_001
  let done = 0
  run(fair, flood, () => undefined)
  now += 60_001
  for (let count = 0; count < 100; count++) run(fair, flood, () => done++)
  expect(done).toBe(100)
})

test("who was forgotten and comes back is alone as before, until another asks", () => {
  const fair = fairShare()
  const before = fair.share()
  for (let count = 0; count < 100; count++) run(fair, before, () => undefined)
  now += 1000
  fair.forget(before)
  const again = fair.share()
  let done = 0
  for (let count = 0; count < 100; count++) run(fair, again, () => done++)
  expect(done).toBe(100)
  run(fair, fair.share(), () => undefined)
  run(fair, again, () => done++)
  expect(done).toBe(100)
})

test("to forget one that is not asking changes nothing for the others", () => {
  const fair = fairShare()
  const [flood, other] = [fair.share(), fair.share()]
  run(fair, other, () => undefined)
  for (let count = 0; count < 100; count++) run(fair, flood, () => undefined)
  fair.forget(other)
  let done = 0
  run(fair, flood, () => done++)
  expect(done).toBe(0)
})

test("what waits when it stops is forgotten", () => {
  const fair = fairShare()
  const [flood, other] = [fair.share(), fair.share()]
  run(fair, other, () => undefined)
  let done = 0
  for (let count = 0; count < 50; count++) run(fair, flood, () => done++)
  fair.stop()
  pass(1000)
  expect(done).toBe(10)
})
