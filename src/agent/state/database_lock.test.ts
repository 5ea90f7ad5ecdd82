import { expect, test } from "bun:test"
import { holderIn, lockHolder } from "./database_lock.ts"

const LOCKS = `1: POSIX  ADVISORY  READ  11 fe:00:77 1073741826 1073742335
2: FLOCK  ADVISORY  WRITE 12 fe:00:77 0 EOF
3: POSIX  ADVISORY  WRITE 13 fe:01:77 0 EOF
4: POSIX  ADVISORY  WRITE 14 fe:00:78 0 EOF
5: POSIX  ADVISORY  WRITE 15 fe:00:77 1073741825 1073741825
5: -> POSIX  ADVISORY  WRITE 16 fe:00:77 1073741825 1073741825
6: POSIX  ADVISORY  WRITE 0 103:2a:99 0 EOF
`

test("the writer of the very file is found", () => {
  expect(holderIn(LOCKS, 0xfe00n, 77n)).toBe(15)
  expect(holderIn(LOCKS, 0xfe00n, 77n, "FLOCK")).toBe(12)
  expect(holderIn(LOCKS, 0xfe01n, 77n)).toBe(13)
  expect(holderIn(LOCKS, 0xfe00n, 79n)).toBeUndefined()
  expect(holderIn("", 0xfe00n, 77n)).toBeUndefined()
})

test("a holder that the kernel does not name is none", () => {
  // Major 0x103, minor 0x2a.
  expect(holderIn(LOCKS, 0x1032an, 99n)).toBeUndefined()
})

test("a file that is not there has no holder", () => {
  expect(lockHolder("/nowhere/at/all")).toBeUndefined()
})
