/** Time that no one sets back, and the identity of this boot. */

import { check } from "./ffi/errno.ts"
import { readFile } from "./ffi/file.ts"
import { libc } from "./ffi/libc.ts"

/** Time since boot, sleep included: include/uapi/linux/time.h */
const CLOCK_BOOTTIME = 7

const timespec = new Uint8Array(16)
const view = new DataView(timespec.buffer)

/**
 * Milliseconds since boot, counting sleep, untouched by changes of the wall clock. Equal for every
 * process, so a number may be stored and compared after a restart, together with {@link bootId}.
 */
export function monotonicMs(): number {
  check(libc.clock_gettime(CLOCK_BOOTTIME, timespec), "clock_gettime", "read the clock")
  return Number(view.getBigInt64(0, true)) * 1000 + Number(view.getBigInt64(8, true)) / 1e6
}

/** The UUID that the kernel made at this boot: a stored monotonic time of another is worthless. */
export function bootId(): string {
  return new TextDecoder().decode(readFile("/proc/sys/kernel/random/boot_id", 64)).trim()
}
