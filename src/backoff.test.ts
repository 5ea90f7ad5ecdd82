import { expect, test } from "bun:test"
import { Backoff } from "./backoff.ts"

const next = (backoff: Backoff, count: number) =>
  Array.from({ length: count }, () => backoff.next())

test("waits double up to the longest", () => {
  const backoff = new Backoff(() => 1, { firstMs: 100, longestMs: 500 })
  expect(next(backoff, 5)).toEqual([100, 200, 400, 500, 500])
})

test("chance takes up to half of a wait", () => {
  const backoff = new Backoff(() => 0, { firstMs: 100, longestMs: 500 })
  expect(next(backoff, 4)).toEqual([50, 100, 200, 250])
})

test("success begins anew", () => {
  const backoff = new Backoff(() => 1)
  next(backoff, 4)
  backoff.reset()
  expect(next(backoff, 2)).toEqual([100, 200])
})
