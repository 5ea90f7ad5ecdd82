import { expect, test } from "bun:test"
import { Patience } from "./patience.ts"

test("a quick member is waited for as long as any, a slow one for twice what it takes", () => {
  const patience = new Patience(1000, 8000)
  expect(patience.ms).toBe(1000)
  for (let n = 0; n < 50; n++) patience.took(5)
  expect(patience.ms).toBe(1000)
  for (let n = 0; n < 200; n++) patience.took(2000)
  expect(Math.round(patience.ms)).toBe(4000)
  for (let n = 0; n < 200; n++) patience.took(5)
  expect(patience.ms).toBe(1000)
})

test("an uneven one is waited for longer", () => {
  const patience = new Patience(100, 8000)
  for (let n = 0; n < 200; n++) patience.took(n % 2 === 0 ? 100 : 1100)
  expect(patience.ms).toBeGreaterThan(2000)
})

test("silence doubles the time, up to the most, until an answer comes", () => {
  const patience = new Patience(1000, 8000)
  const waits = Array.from({ length: 6 }, () => {
    patience.silent()
    return patience.ms
  })
  expect(waits).toEqual([2000, 4000, 8000, 8000, 8000, 8000])
  patience.took(10)
  expect(patience.ms).toBe(1000)
})
