import { expect, test } from "bun:test"
import { TeardownError } from "../errors.ts"
import { closeAll, closing } from "./close_all.ts"

const fail = (text: string) => async () => {
  throw new Error(text)
}

test("every step is run, in order, and every failure told", async () => {
  const done: number[] = []
  const closed = closeAll("the demo", [
    async () => void done.push(1),
    fail("first"),
    () => done.push(2),
    fail("second"),
  ])
  await expect(closed).rejects.toThrow(TeardownError)
  await expect(closed).rejects.toThrow("Cannot finish the demo: first; second")
  expect(done).toEqual([1, 2])
  await closeAll("nothing", [])
})

test("what was done comes back after closing", async () => {
  const order: string[] = []
  const work = async () => order.push("work")
  expect(await closing(work, async () => void order.push("close"))).toBe(1)
  expect(order).toEqual(["work", "close"])
  await expect(closing(work, fail("close"))).rejects.toThrow("close")
})

test("the work's own failure counts first, and closing is done all the same", async () => {
  const told: string[] = []
  const both = closing(fail("work"), fail("close"), (text) => told.push(text))
  await expect(both).rejects.toThrow("work")
  expect(told).toEqual(["close"])
})
