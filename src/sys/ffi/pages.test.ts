import { expect, test } from "bun:test"
import { readlinkSync } from "node:fs"
import { keepMapped, releaseStartupMemory } from "./pages.ts"
import { snapshotPages, touchedRanges } from "./touched_pages.ts"

const path = readlinkSync("/proc/self/exe")

test("start-up code is let go, and what is to be kept is mapped again", () => {
  const bytesIn = () =>
    touchedRanges(snapshotPages(path)).reduce((sum, { length }) => sum + length, 0)
  const start = touchedRanges(snapshotPages(path))
  const before = bytesIn()
  releaseStartupMemory(path)
  const released = bytesIn()
  expect(released).toBeLessThan(before)
  expect(keepMapped(path, start, { mostBytes: 1_048_576 })).toBeLessThanOrEqual(1_048_576)
  expect(keepMapped(path, start)).toBeGreaterThan(1_048_576)
  expect(bytesIn()).toBeGreaterThan(released)
})

test("a file that is not mapped has nothing to keep", () => {
  expect(keepMapped("/nonexistent", [{ offset: 0, length: 4096 }])).toBe(0)
})
