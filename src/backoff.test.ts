import { expect, test } from "bun:test"
import { Backoff, Backoffs } from "./backoff.ts"

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

test("of several things each waits for itself, and begins anew after a calm", () => {
  const backoffs = new Backoffs({ firstMs: 100, longestMs: 300, calmMs: 1000 })
  expect(backoffs.dueAt("a")).toBe(Number.NEGATIVE_INFINITY)
  const dueAfter = (key: string, nowMs: number) => {
    backoffs.done(key, nowMs)
    return backoffs.dueAt(key)
  }
  expect([dueAfter("a", 0), dueAfter("a", 100), dueAfter("a", 300)]).toEqual([100, 300, 600])
  expect(dueAfter("b", 600)).toBe(700)
  expect(dueAfter("a", 1599)).toBe(1899)
  expect(dueAfter("a", 2899)).toBe(2999)
})
