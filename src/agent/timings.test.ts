import { expect, test } from "bun:test"
import { Timings } from "./timings.ts"

test("median and nine tenths of each command, numbers sorted as numbers", () => {
  const timings = new Timings()
  expect(timings.report()).toEqual([])
  for (const ms of [10, 9, 1, 2, 3, 4, 5, 6, 7, 8, 11]) timings.note("ADD", ms)
  timings.note("DEL", 20)
  expect(timings.report()).toEqual([
    { command: "ADD", count: 11, medianMs: 6, p90Ms: 10 },
    { command: "DEL", count: 1, medianMs: 20, p90Ms: 20 },
  ])
})

test("old calls are counted and forgotten otherwise", () => {
  const timings = new Timings()
  for (let call = 0; call < 1000; call++) timings.note("ADD", 100)
  for (let call = 0; call < 256; call++) timings.note("ADD", 1)
  expect(timings.report()).toEqual([{ command: "ADD", count: 1256, medianMs: 1, p90Ms: 1 }])
})
