import { expect, test } from "bun:test"
import { WorkQueue } from "./work_queue.ts"

/** A clock that a test moves, and what is to be called back. */
function fixture() {
  const state = { now: 0, waiting: [] as (() => void)[], done: [] as string[] }
  const later = (go: () => void) => void state.waiting.push(go)
  const queue = new WorkQueue({ clock: () => state.now, later })
  function* work(name: string, steps: number, ms = 0): Generator<void> {
    for (let step = 0; step < steps; step++) {
      state.done.push(`${name}${step}`)
      state.now += ms
      yield
    }
  }
  const go = () => state.waiting.shift()?.()
  return { state, queue, work, go }
}

test("what is quick is done at once", () => {
  const { state, queue, work } = fixture()
  queue.add(work("a", 3))
  queue.add(work("b", 1))
  expect(state.done).toEqual(["a0", "a1", "a2", "b0"])
  expect(state.waiting).toEqual([])
})

test("what takes long lets others have their turn, and what comes later waits for it", () => {
  const { state, queue, work, go } = fixture()
  queue.add(work("a", 4, 6))
  expect(state.done).toEqual(["a0", "a1"])
  queue.add(work("b", 1))
  expect(state.waiting).toHaveLength(1)
  go()
  expect(state.done).toEqual(["a0", "a1", "a2", "a3"])
  go()
  expect(state.done).toEqual(["a0", "a1", "a2", "a3", "b0"])
  expect(state.waiting).toEqual([])
  queue.add(work("c", 1))
  expect(state.done.at(-1)).toBe("c0")
})

test("without anybody to call back all is done at once", () => {
  const queue = new WorkQueue({ clock: () => 0 })
  const done: number[] = []
  queue.add(
    (function* () {
      for (let step = 0; step < 5; step++) {
        done.push(step)
        yield
      }
    })(),
  )
  expect(done).toEqual([0, 1, 2, 3, 4])
})

test("work that adds work does not come before itself", () => {
  const { state, queue, work } = fixture()
  queue.add(
    (function* () {
      queue.add(work("b", 1))
      state.done.push("a0")
      yield
      state.done.push("a1")
    })(),
  )
  expect(state.done).toEqual(["a0", "a1", "b0"])
})

test("work that throws is over, and the rest goes on", () => {
  const { state, queue, work, go } = fixture()
  queue.add(work("a", 2, 20))
  queue.add(
    (function* () {
      state.done.push("b")
      yield
      throw new Error("broken")
    })(),
  )
  queue.add(work("c", 1))
  go()
  expect(go).toThrow("broken")
  go()
  expect(state.done).toEqual(["a0", "a1", "b", "c0"])
  queue.add(work("d", 1))
  expect(state.done.at(-1)).toBe("d0")
})

test("what was cleared is not done", () => {
  const { state, queue, work, go } = fixture()
  queue.add(work("a", 3, 20))
  queue.add(work("b", 1))
  queue.clear()
  go()
  expect(state.done).toEqual(["a0"])
  queue.add(work("c", 1))
  expect(state.done).toEqual(["a0", "c0"])
})
