import { expect, test } from "bun:test"
import type { Round } from "./budget.ts"
import { FloodGuard } from "./flood_guard.ts"

function guarded() {
  const state = { dropped: 0, fullness: 0, rules: new Map<string, number>(), calls: 0 }
  const guard = new FloodGuard({
    dropped: () => state.dropped,
    fullness: () => state.fullness,
    shed(sources) {
      state.calls += 1
      state.rules = new Map(sources.map(({ address, keep }) => [address, keep]))
    },
  })
  let now = 0
  /** One round; `lost` were dropped in it. */
  const round = (lost: number, more: Partial<Round> = {}) => {
    now += more.now ?? 10
    state.dropped += lost
    const base = { heaviest: "f", used: 1000, total: 1010, clients: 2, fair: 600, roundMs: 10 }
    guard.round({ ...base, ...more, now })
  }
  return { state, round }
}

test("nothing is dropped while the queue holds what comes, however much it is", () => {
  const { state, round } = guarded()
  for (let n = 0; n < 100; n++) round(0, { used: 5000, total: 5010 })
  expect(state.calls).toBe(0)
})

test("when it overflows, the one who sent most is cut to half of what can be answered", () => {
  const { state, round } = guarded()
  round(2020)
  // 1,000 and its part of what was lost.
  expect(state.rules.get("f")).toBeCloseTo(300 / 3000, 5)
  expect(state.rules.size).toBe(1)
})

test("when all send alike, nobody is cut", () => {
  const { state, round } = guarded()
  round(1000, { used: 101, total: 1000, clients: 10 })
  expect(state.calls).toBe(0)
})

test("the cut is deepened while the queue stays full, and others are cut too", () => {
  const { state, round } = guarded()
  round(2020)
  const first = state.rules.get("f") ?? 0
  state.fullness = 0.9
  round(5000)
  expect(state.rules.get("f")).toBeLessThan(first)
  round(5000, { heaviest: "g" })
  expect([...state.rules.keys()]).toEqual(["f", "g"])
})

test("it ends when the flood has ended, and is longer the next time", () => {
  const { state, round } = guarded()
  round(2020)
  round(10_000, { now: 490 })
  // Still flooding at its end: it goes on.
  round(10_000, { now: 20 })
  expect(state.rules.size).toBe(1)
  round(0, { now: 490 })
  round(0, { now: 20 })
  expect(state.rules.size).toBe(0)
  round(2020)
  round(0, { now: 700 })
  expect(state.rules.size).toBe(1)
  round(0, { now: 400 })
  expect(state.rules.size).toBe(0)
  // After a long peace it is as the first time.
  round(0, { now: 60_000 })
  round(2020)
  round(0, { now: 510 })
  expect(state.rules.size).toBe(0)
})

test("no more are cut than the kernel's filter takes", () => {
  const { state, round } = guarded()
  for (let n = 0; n < 40; n++) {
    round(5000, { heaviest: `f${n}`, clients: 2 })
    state.fullness = 0.9
  }
  expect(state.rules.size).toBe(16)
})
