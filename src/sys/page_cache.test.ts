import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { cString, libc } from "./libc.ts"
import { holdPages, pageSize, residentRanges, touchedRanges } from "./page_cache.ts"

// The check needs a file system with a disk behind it: a tmpfs has its pages in memory only.
const directory = mkdtempSync(`${tmpdir()}/sys-pages-`)
afterAll(() => rmSync(directory, { recursive: true }))

const page = pageSize()
const path = `${directory}/file`
const PAGES = 64
// 17 bytes of a last page.
writeFileSync(path, new Uint8Array(PAGES * page + 17).fill(7))

/** Asks the kernel to forget all pages that nobody holds. */
function drop(): void {
  const fd = libc.open(cString(path), 0, 0)
  libc.fsync(fd)
  // POSIX_FADV_DONTNEED
  libc.posix_fadvise(fd, 0, 0, 4)
  libc.close(fd)
}

function residentBytes(): number {
  return residentRanges(path).reduce((sum, range) => sum + range.length, 0)
}

test("a file just written is resident up to its last byte", () => {
  expect(residentRanges(path)).toEqual([{ offset: 0, length: PAGES * page + 17 }])
})

test("held pages survive what others do not", () => {
  drop()
  const forgotten = residentBytes()
  const held = holdPages(path, [
    { offset: 3, length: 1 },
    { offset: 5 * page - 1, length: 2 },
    { offset: PAGES * page, length: 17 },
  ])
  expect(held.bytes).toBe(4 * page)
  drop()
  const ranges = residentRanges(path)
  const has = (index: number) =>
    ranges.some(({ offset, length }) => offset <= index * page && index * page < offset + length)
  expect([0, 4, 5, PAGES].map(has)).toEqual([true, true, true, true])
  // On a tmpfs nothing is ever forgotten, and there is nothing to compare.
  if (forgotten === 0) expect(residentBytes()).toBeLessThan(PAGES * page)
  held.close()
  held.close()
  drop()
  expect(residentBytes()).toBe(forgotten)
})

test("ranges outside the file are refused", () => {
  for (const [offset, length] of [
    [0, 0],
    [-1, 4],
    [0, PAGES * page + 18],
    [1e9, 1],
  ] as const) {
    expect(() => holdPages(path, [{ offset, length }])).toThrow("Cannot hold")
  }
})

test("the pages of the running program are listed", () => {
  const ranges = touchedRanges(realpathSync("/proc/self/exe"))
  const bytes = ranges.reduce((sum, range) => sum + range.length, 0)
  // The first page holds the ELF header, which every start reads.
  expect(ranges[0]?.offset).toBe(0)
  expect(bytes).toBeGreaterThan(1_000_000)
})

test("an empty file and a missing one", () => {
  writeFileSync(`${directory}/empty`, "")
  expect(residentRanges(`${directory}/empty`)).toEqual([])
  expect(() => residentRanges(`${directory}/none`)).toThrow("No such file")
})
