import { expect, test } from "bun:test"
import { HeardClock } from "./heard_clock.ts"

test("time stands still while the store cannot be heard, and tells how long that was", () => {
  let now = 100
  const clock = new HeardClock(() => now)
  expect([clock.now(), clock.hears(true), clock.returnedWithin(1000)]).toEqual([100, 0, false])
  expect(clock.hears(false)).toBe(0)
  now = 150
  expect([clock.hears(false), clock.now()]).toEqual([0, 100])
  now = 170
  expect([clock.hears(true), clock.now(), clock.hears(true)]).toEqual([70, 170, 0])
  now = 179
  expect([clock.returnedWithin(10), clock.returnedWithin(9)]).toEqual([true, false])
})

test("a store that was put back has come back, though it could be heard", () => {
  let now = 5
  const clock = new HeardClock(() => now)
  clock.returned()
  now = 14
  expect([clock.returnedWithin(10), clock.returnedWithin(9)]).toEqual([true, false])
})
