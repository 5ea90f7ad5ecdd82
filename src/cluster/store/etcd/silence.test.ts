import { expect, test } from "bun:test"
import { Silence } from "./silence.ts"

test("where the member does not report progress it is asked, and the watch opened anew in the end", () => {
  const silence = new Silence({ suspectMs: 5000, reopenMs: 60_000 })
  silence.begin(0)
  expect(silence.waitMs).toBe(5000)
  expect(silence.verdict(5000)).toBe("ask")
  expect(silence.verdict(59_999)).toBe("ask")
  expect(silence.verdict(60_000)).toBe("reopen")
  silence.heard(60_000, "other")
  expect(silence.verdict(65_000)).toBe("ask")
})

test("where it does, silence is death", () => {
  const silence = new Silence({ suspectMs: 5000 })
  silence.begin(0)
  silence.heard(2000, "progress")
  expect(silence.waitMs).toBe(5000)
  expect(silence.verdict(7000)).toBe("dead")
})

test("rare notifications are given their time, and the rarest tell nothing", () => {
  const silence = new Silence({ suspectMs: 5000 })
  silence.begin(0)
  silence.heard(600_000, "progress")
  expect(silence.verdict(605_000)).toBe("ask")
  silence.heard(610_000, "progress")
  expect(silence.waitMs).toBe(25_000)
  expect(silence.verdict(640_000)).toBe("dead")
})

test("each stream is learned anew: the next member may have another setting", () => {
  const silence = new Silence()
  silence.begin(0)
  silence.heard(1000, "progress")
  silence.begin(2000)
  expect(silence.verdict(8000)).toBe("ask")
})

test("what a member knows and nobody heard of is looked for soon, and later each time it is of other keys", () => {
  const silence = new Silence({ suspectMs: 5000, reopenMs: 60_000 })
  const opened: number[] = []
  silence.begin(0)
  for (let now = 5000; now <= 200_000; now += 5000) {
    if (!silence.misses(now)) continue
    opened.push(now)
    silence.begin(now)
    silence.heard(now, "other")
  }
  expect(opened).toEqual([10_000, 30_000, 70_000, 130_000, 190_000])
  silence.heard(200_000, "changes")
  expect(silence.misses(205_000)).toBe(false)
  expect(silence.misses(210_000)).toBe(true)
})
