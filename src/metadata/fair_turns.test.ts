import { expect, test } from "bun:test"
import { FairTurns, type Steps } from "./fair_turns.ts"

/** A clock that moves when it is told to, and by what work takes. */
function fixture() {
  const state = { now: 0 }
  const timers = new Set<{ readonly at: number; readonly run: () => void }>()
  const turns = new FairTurns({
    now: () => state.now,
    schedule(ms, run) {
      const timer = { at: state.now + ms, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
  })
  const done: string[] = []
  /** Steps of so many milliseconds each. */
  function* work(name: string, steps: number, ms: number): Steps<string> {
    for (let step = 0; step < steps; step++) {
      state.now += ms
      yield
    }
    done.push(name)
    return name
  }
  /** Runs what is due, one timer after the other. @returns how long each of them took */
  const pass = (ms: number): number[] => {
    const end = state.now + ms
    const took: number[] = []
    for (;;) {
      const [next] = [...timers].sort((a, b) => a.at - b.at)
      if (next === undefined || next.at > end) break
      timers.delete(next)
      state.now = Math.max(state.now, next.at)
      const began = state.now
      next.run()
      took.push(state.now - began)
    }
    state.now = Math.max(state.now, end)
    return took
  }
  return { turns, state, done, work, pass, timers }
}

test("little is done at once", () => {
  const { turns, work, timers } = fixture()
  expect(turns.run("a", work("small", 3, 1))).toBe("small")
  expect(timers.size).toBe(0)
})

test("much is done a little at a time, in half of the time", async () => {
  const { turns, work, pass, state } = fixture()
  const began = state.now
  const large = turns.run("a", work("large", 1000, 1))
  expect(state.now - began).toBeLessThanOrEqual(6)
  const took = pass(1900)
  expect(Math.max(...took)).toBeLessThanOrEqual(6)
  const sum = took.reduce((all, one) => all + one, 0)
  expect(sum).toBeGreaterThan(850)
  expect(sum).toBeLessThan(1000)
  pass(200)
  expect(await large).toBe("large")
})

test("who has asked little is before those that asked much, however many they are", () => {
  const { turns, work, pass, done } = fixture()
  for (let n = 0; n < 100; n++) void turns.run("hostile", work(`hostile ${n}`, 10, 10))
  pass(100)
  void turns.run("good", work("good", 2, 1))
  pass(60)
  expect(done).toContain("good")
  expect(done.length).toBeLessThan(5)
})

test("of two that ask much each has its half", () => {
  const { turns, work, pass, done } = fixture()
  for (let n = 0; n < 100; n++) void turns.run("many", work("many", 10, 1))
  for (let n = 0; n < 100; n++) void turns.run("few", work("few", 1, 10))
  pass(1000)
  const share = done.filter((name) => name === "many").length / done.length
  expect(share).toBeGreaterThan(0.4)
  expect(share).toBeLessThan(0.6)
})

test("what costs more than its time is counted so", () => {
  const { turns, state, timers } = fixture()
  function* dear(): Steps<number> {
    yield 3
    yield 3
    return 1
  }
  expect(turns.run("a", dear())).toBeInstanceOf(Promise)
  expect([state.now, timers.size]).toEqual([0, 1])
})

test("no more of one source wait than may, and others still do", () => {
  const { turns, work } = fixture()
  for (let n = 0; n < 1024; n++) expect(turns.run("a", work("a", 2, 10))).toBeInstanceOf(Promise)
  expect(turns.run("a", work("a", 2, 10))).toBeUndefined()
  expect(turns.run("b", work("b", 2, 10))).toBeInstanceOf(Promise)
})

test("work that fails ends with its fault, and others go on", async () => {
  const { turns, work, pass } = fixture()
  function* faulty(): Steps<string> {
    yield 10
    throw new Error("fault")
  }
  const failed = turns.run("a", faulty())
  const other = turns.run("a", work("other", 1, 1))
  pass(100)
  expect(failed).rejects.toThrow("fault")
  expect(await other).toBe("other")
})
