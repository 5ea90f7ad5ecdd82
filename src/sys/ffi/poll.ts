/** Waiting for one descriptor, for a bounded time. */

import { check, EINTR } from "./errno.ts"
import { errno, libc } from "./libc.ts"

// include/uapi/asm-generic/poll.h
export const POLLIN = 0x1
export const POLLOUT = 0x4

/** A point in time on the clock of performance.now(), in ms. */
export type Deadline = number

/** The point in time that lies `timeoutMs` ahead. */
export function deadlineIn(timeoutMs: number): Deadline {
  return performance.now() + timeoutMs
}

/** poll(2)'s word for "for ever". */
const FOREVER = -1

/** Whole milliseconds left, rounded up, never below 0; -1 where the deadline is Infinity. */
export function remainingMs(deadline: Deadline): number {
  if (deadline === Number.POSITIVE_INFINITY) return FOREVER
  return Math.min(Math.max(0, Math.ceil(deadline - performance.now())), 0x7fffffff)
}

/**
 * Blocks until `fd` has one of `events` (or POLLERR, POLLHUP), or the deadline passes.
 *
 * @returns the events, 0 at the deadline
 * @throws SystemError
 */
export function waitFor(fd: number, events: number, deadline: Deadline): number {
  // struct pollfd: int fd, short events, short revents
  const pollfd = new Uint8Array(8)
  const view = new DataView(pollfd.buffer)
  view.setInt32(0, fd, true)
  view.setInt16(4, events, true)
  for (;;) {
    const ready = libc.poll(pollfd, 1, remainingMs(deadline))
    if (ready < 0 && errno() === EINTR) continue
    return check(ready, "poll", `wait for descriptor ${fd}`) === 0 ? 0 : view.getInt16(6, true)
  }
}
