import { expect, test } from "bun:test"
import { LongPoll, type LongPollOptions, type Wait } from "./long_poll.ts"

/** A clock that stands still until it is told, and something to watch. */
function fixture(options: LongPollOptions = {}) {
  const timers = new Set<{ at: number; run: () => void }>()
  let now = 0
  const poll = new LongPoll<string>((ms, run) => {
    const timer = { at: now + ms, run }
    timers.add(timer)
    return () => timers.delete(timer)
  }, options)
  const state = { text: "one" as string | undefined, looks: 0, answers: 0 }
  const watched = {
    text: () => {
      state.looks += 1
      return state.text
    },
    answer: () => {
      state.answers += 1
      return `answer ${state.text}`
    },
  }
  const wait = (known: string, more: Partial<Wait<string>> = {}) =>
    poll.wait({ key: "k", watched, known, ms: 1000, source: "s", ...more })
  const pass = (ms: number) => {
    now += ms
    for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.run()
  }
  return { poll, state, wait, pass, timers }
}

test("a value that is another already is answered at once", () => {
  const { wait, poll } = fixture()
  expect(wait("zero")).toBe("answer one")
  expect(poll.waiting).toBe(0)
})

test("a change answers all who wait, looking once for all of them", async () => {
  const { poll, state, wait, pass, timers } = fixture()
  const waits = Array.from({ length: 100 }, () => wait("one"))
  expect(poll.waiting).toBe(100)
  state.text = "two"
  state.looks = 0
  state.answers = 0
  poll.changed()
  pass(0)
  expect(await Promise.all(waits)).toEqual(Array.from({ length: 100 }, () => "answer two"))
  expect(state).toMatchObject({ looks: 1, answers: 1 })
  pass(50)
  expect([poll.waiting, timers.size]).toEqual([0, 0])
})

test("who makes changes pays for nobody who waits, and many in a row are looked at once", async () => {
  const { poll, state, wait, pass } = fixture()
  const pending = wait("one")
  state.looks = 0
  state.text = "two"
  for (let n = 0; n < 5000; n++) poll.changed()
  expect(state.looks).toBe(0)
  pass(0)
  expect(await pending).toBe("answer two")
  expect(state.looks).toBe(1)
  // The next ones are gathered for a while; after it a change is told at once again.
  const next = wait("two")
  state.text = "three"
  state.looks = 0
  for (let n = 0; n < 5000; n++) poll.changed()
  pass(49)
  expect(state.looks).toBe(0)
  pass(1)
  expect(await next).toBe("answer three")
  pass(50)
  const last = wait("three")
  state.text = "four"
  poll.changed()
  pass(0)
  expect(await last).toBe("answer four")
})

test("the more answers a change cost, the longer the next ones are gathered", async () => {
  const { poll, state, wait, pass } = fixture()
  const waits = Array.from({ length: 1000 }, () => wait("one"))
  state.text = "two"
  poll.changed()
  pass(0)
  await Promise.all(waits)
  const next = wait("two")
  state.text = "three"
  state.looks = 0
  poll.changed()
  pass(200)
  expect(state.looks).toBe(0)
  pass(1)
  expect(await next).toBe("answer three")
})

test("who asks again after a change, while others are gathered, is answered with them", async () => {
  const { poll, state, wait, pass } = fixture()
  const first = wait("one")
  state.text = "two"
  poll.changed()
  pass(0)
  await first
  // All who were answered ask again while changes go on: each would be answered without end.
  state.text = "three"
  const again = wait("two")
  expect(again).toBeInstanceOf(Promise)
  pass(49)
  expect(poll.waiting).toBe(1)
  pass(1)
  expect(await again).toBe("answer three")
  pass(50)
  expect(wait("two")).toBe("answer three")
})

test("the more paths are looked at, the longer the next changes are gathered", () => {
  const { poll, state, wait, pass } = fixture()
  for (let path = 0; path < 1000; path++) void wait("one", { key: `${path}` })
  poll.changed()
  pass(0)
  state.looks = 0
  poll.changed()
  pass(99)
  expect(state.looks).toBe(0)
  pass(1)
  expect(state.looks).toBe(1000)
})

test("a change of something else answers nobody, and makes no answer", () => {
  const { poll, state, wait, pass } = fixture()
  const pending = wait("one")
  poll.changed()
  pass(0)
  expect(poll.waiting).toBe(1)
  expect(state.answers).toBe(0)
  expect(pending).toBeInstanceOf(Promise)
})

test("the time ends it with what is then, not before", async () => {
  const { pass, poll, wait } = fixture()
  const pending = wait("one")
  pass(999)
  expect(poll.waiting).toBe(1)
  pass(1)
  expect(await pending).toBe("answer one")
})

test("what is not there is waited for", async () => {
  const { poll, state, wait, pass } = fixture()
  state.text = undefined
  const pending = wait("")
  poll.changed()
  pass(0)
  expect(poll.waiting).toBe(1)
  state.text = "here"
  poll.changed()
  pass(50)
  expect(await pending).toBe("answer here")
})

test("no time is no wait", () => {
  expect(fixture().wait("one", { ms: 0 })).toBe("answer one")
})

test("a client that goes frees its place and leaves nothing", async () => {
  const { poll, wait, timers } = fixture()
  const abort = new AbortController()
  const pending = wait("one", { signal: abort.signal })
  abort.abort()
  await pending
  expect([poll.waiting, timers.size]).toEqual([0, 0])
  expect(wait("one", { signal: AbortSignal.abort() })).toBe("answer one")
})

test("only so many wait, in all and of one source, and places come back", async () => {
  const { poll, wait, pass } = fixture({ most: 3, mostPerSource: 2 })
  const held = [wait("one"), wait("one")]
  expect(wait("one")).toBeUndefined()
  held.push(wait("one", { source: "t" }))
  // Who has most makes room for who has less, and nobody for who would have as much.
  held.push(wait("one", { source: "u" }))
  expect(await held[0]).toBeUndefined()
  expect(wait("one", { source: "v" })).toBeUndefined()
  expect(poll.waiting).toBe(3)
  pass(1000)
  await Promise.all(held)
  expect(wait("one")).toBeInstanceOf(Promise)
  expect(poll.waiting).toBe(1)
})

test("bytes are bounded, whoever holds them", async () => {
  const { poll, wait } = fixture({ mostBytes: 10_000 })
  const large = [wait("one", { size: 5000 }), wait("one", { size: 5000 })]
  expect(wait("one", { size: 5000 })).toBeUndefined()
  expect(wait("one", { size: 100, source: "t" })).toBeInstanceOf(Promise)
  expect(await large[0]).toBeUndefined()
  expect(poll.waiting).toBe(2)
})

test("a source that takes its time to look keeps no other waiting", async () => {
  const later: Iterator<unknown>[] = []
  const { poll, state, wait, pass } = fixture({
    look: (source, steps) => void (source === "slow" ? later.push(steps) : [...steps]),
  })
  const pending = [1, 2, 3].map((key) => wait("one", { key: `${key}`, source: "slow" }))
  const both = wait("one", { key: "3", source: "quick" })
  const other = wait("one", { key: "other", source: "quick" })
  state.text = "two"
  poll.changed()
  pass(0)
  expect(await other).toBe("answer two")
  expect([poll.waiting, later.length]).toEqual([4, 1])
  // What another waits for too comes first.
  for (let step = 0; step < 3; step++) later[0]?.next()
  expect(await both).toBe("answer two")
  expect(poll.waiting).toBe(2)
  while (later[0]?.next().done === false);
  expect(await Promise.all(pending)).toEqual(Array.from({ length: 3 }, () => "answer two"))
})

test("who asks again while being answered waits for the next change", async () => {
  const { poll, state, wait, pass } = fixture()
  const first = wait("one")
  state.text = "two"
  poll.changed()
  pass(0)
  await first
  expect(wait("two")).toBeInstanceOf(Promise)
  expect(poll.waiting).toBe(1)
})
