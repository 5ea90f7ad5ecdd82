import { expect, test } from "bun:test"
import { EBADF } from "../ffi/errno.ts"
import { cString, libc } from "../ffi/libc.ts"
import { isLinkThere } from "./link_name.ts"

test("tells a link that is there from one that is not", () => {
  const fd = libc.socket(2, 2, 0)
  expect(isLinkThere(fd, libc.if_nametoindex(cString("lo")))).toBe(true)
  expect(isLinkThere(fd, 2_000_000_000)).toBe(false)
  libc.close(fd)
})

test("says so where it cannot look", () => {
  expect(() => isLinkThere(-1, 1)).toThrow(expect.objectContaining({ errno: EBADF }))
})
