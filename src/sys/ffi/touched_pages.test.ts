import { expect, test } from "bun:test"
import { readlinkSync } from "node:fs"
import { snapshotPages, touchedRanges } from "./touched_pages.ts"

/** Entries of a pagemap: true is in memory. */
function entries(...present: boolean[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(present.length * 8))
  present.forEach((one, at) => {
    view.setUint32(at * 8 + 4, one ? 0x80000000 : 0, true)
  })
  return new Uint8Array(view.buffer)
}

test("touched pages are joined across mappings, each page counts once", () => {
  const parts = [
    { offset: 8192, entries: entries(true, false, true) },
    { offset: 0, entries: entries(false, true, true) },
  ]
  expect(touchedRanges({ path: "/x", pageBytes: 4096, parts })).toEqual([
    { offset: 4096, length: 8192 },
    { offset: 16_384, length: 4096 },
  ])
})

test("swapped pages count, an entry that was cut off does not", () => {
  const swapped = entries(false)
  swapped[7] = 0x40
  const parts = [{ offset: 0, entries: Uint8Array.of(...swapped, 1, 2, 3) }]
  expect(touchedRanges({ path: "/x", pageBytes: 4096, parts })).toEqual([
    { offset: 0, length: 4096 },
  ])
})

test("this program has parts of its own file in use", () => {
  const ranges = touchedRanges(snapshotPages(readlinkSync("/proc/self/exe")))
  expect(ranges.length).toBeGreaterThan(0)
  for (const { offset, length } of ranges) {
    expect(offset).toBeGreaterThanOrEqual(0)
    expect(length).toBeGreaterThan(0)
  }
})

test("a file that is not mapped has none", () => {
  expect(touchedRanges(snapshotPages("/nonexistent"))).toEqual([])
})
