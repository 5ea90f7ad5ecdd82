import { expect, test } from "bun:test"
import { Allowance } from "./allowance.ts"

test("so many at once, and so many a second after that", () => {
  let now = 0
  const allowance = new Allowance(10, () => now)
  const takeAll = (): number => {
    let taken = 0
    for (; allowance.isLeft; taken++) allowance.take()
    return taken
  }
  expect(takeAll()).toBe(10)
  now += 99
  expect(takeAll()).toBe(0)
  now += 1
  expect(takeAll()).toBe(1)
  now += 60_000
  expect(takeAll()).toBe(10)
})
