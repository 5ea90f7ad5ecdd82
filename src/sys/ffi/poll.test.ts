import { expect, test } from "bun:test"
import { libc } from "./libc.ts"
import { deadlineIn, POLLIN, POLLOUT, remainingMs, waitFor } from "./poll.ts"

// include/uapi/asm-generic/poll.h
const POLLHUP = 0x10

test("events, hang-up and the deadline", () => {
  const pair = new Int32Array(2)
  libc.socketpair(1, 1, 0, new Uint8Array(pair.buffer))
  const [left = -1, right = -1] = pair
  expect(waitFor(left, POLLOUT, deadlineIn(0))).toBe(POLLOUT)
  expect(waitFor(left, POLLIN, deadlineIn(1))).toBe(0)
  libc.write(right, new Uint8Array(1), 1)
  expect(waitFor(left, POLLIN, Number.POSITIVE_INFINITY)).toBe(POLLIN)
  libc.close(right)
  expect(waitFor(left, POLLIN, deadlineIn(0)) & POLLHUP).toBe(POLLHUP)
  libc.close(left)
})

test("a deadline that passed leaves nothing, one in the far future fits an int", () => {
  expect(remainingMs(deadlineIn(-5))).toBe(0)
  expect(remainingMs(deadlineIn(1e12))).toBe(0x7fffffff)
  expect(remainingMs(Number.POSITIVE_INFINITY)).toBe(-1)
})
