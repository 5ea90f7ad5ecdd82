import { expect, test } from "bun:test"
import { parseDuration } from "./duration.ts"

test.each([
  ["60s", 60_000],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["2d", 172_800_000],
  ["500ms", 500],
  ["1.5s", 1500],
  ["250", 250],
  [" 1s ", 1000],
  [250, 250],
  [0, 0],
  ["0", 0],
])("%p is %p ms", (value, ms) => {
  expect(parseDuration(value)).toBe(ms)
})

test.each(["", "s", "5 m", "-5s", "5w", "1e3s", "400d", -1, 1.5, Number.NaN, Infinity, "1.2.3s"])(
  "%p is no duration",
  (value) => {
    expect(parseDuration(value)).toBeUndefined()
  },
)
