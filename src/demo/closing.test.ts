import { expect, test } from "bun:test"
import { closing } from "./closing.ts"

const fail = (text: string) => async () => {
  throw new Error(text)
}

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
