import { expect, test } from "bun:test"
import { check, errnoName, errnoText, errorCodeOf, SystemError } from "./errno.ts"
import { ERRNOS } from "./errno_table.ts"
import { cString, libc } from "./libc.ts"

test("numbers, names and texts", () => {
  expect([errnoName(2), errnoText(2)]).toEqual(["ENOENT", "No such file or directory"])
  expect(errnoName(95)).toBe("EOPNOTSUPP")
  expect(errnoName(524)).toBe("ENOTSUPP")
  expect(errnoName(4000)).toBe("errno 4000")
  expect(errnoText(4000)).toBe("Unknown error 4000")
})

test("no number or name is listed twice, and the numbers rise", () => {
  const numbers = ERRNOS.map((row) => row[0])
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
  expect(new Set(ERRNOS.map((row) => row[1])).size).toBe(ERRNOS.length)
})

test("stable codes", () => {
  expect(errorCodeOf(1)).toBe("permission")
  expect(errorCodeOf(16)).toBe("busy")
  expect(errorCodeOf(97)).toBe("kernel-unsupported")
  expect(errorCodeOf(2)).toBe("io")
})

test("check passes results on and names what failed", () => {
  expect(check(0, "close", "close x")).toBe(0)
  expect(check(7, "open", "open x")).toBe(7)
  let caught: unknown
  try {
    check(libc.open(cString("/no/such"), 0, 0), "open", "open /no/such")
  } catch (error) {
    caught = error
  }
  expect(caught).toBeInstanceOf(SystemError)
  const error = caught as SystemError
  expect(error.message).toBe("Cannot open /no/such: No such file or directory (open: ENOENT)")
  expect([error.errno, error.errnoName, error.syscall, error.code]).toEqual([
    2,
    "ENOENT",
    "open",
    "io",
  ])
})
