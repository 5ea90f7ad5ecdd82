/** What of its own file a program that runs for long keeps in memory. */

import { bunGlobal } from "./bun_global.ts"
import { check } from "./errno.ts"
import { libc } from "./libc.ts"
import { mappingsOf } from "./memory_map.ts"
import type { ByteRange } from "./touched_pages.ts"

/** include/uapi/asm-generic/mman-common.h: drop the pages, to be read again when touched. */
const MADV_DONTNEED = 4
/** The same, Linux 5.14: map the pages now, reading those that are not in memory. */
const MADV_POPULATE_READ = 22

/** Permissions of a mapping of code. */
const CODE = "r-xp"

/**
 * Collects garbage and lets go of the code that ran so far; what is needed again is mapped again
 * from the page cache, at about a microsecond for 64 KiB. After a start most of it never is. Code
 * alone: what a loader has written to in other mappings cannot be read from the file again.
 *
 * @param path of the running program, absolute, no links
 * @throws SystemError
 */
export function releaseStartupMemory(path: string): void {
  bunGlobal()?.gc(true)
  for (const { start, length, permissions } of mappingsOf(path)) {
    if (permissions !== CODE) continue
    check(libc.madvise(start, length, MADV_DONTNEED), "madvise", "let go of start-up code")
  }
}

/**
 * Maps code of the program's own file in this process. While it lives the kernel keeps it in memory
 * before anything that nobody has mapped, so that another start of the file finds it.
 *
 * @param path of the running program, absolute, no links
 * @param options.mostBytes how much at most, the file's beginning first; default all
 * @returns bytes that are mapped
 * @throws SystemError before Linux 5.14
 */
export function keepMapped(
  path: string,
  ranges: readonly ByteRange[],
  options: { readonly mostBytes?: number } = {},
): number {
  const { mostBytes = Number.POSITIVE_INFINITY } = options
  let bytes = 0
  for (const mapping of mappingsOf(path)) {
    if (mapping.permissions !== CODE) continue
    for (const range of ranges) {
      const from = Math.max(range.offset, mapping.offset)
      const to = Math.min(range.offset + range.length, mapping.offset + mapping.length)
      if (to <= from || bytes + to - from > mostBytes) continue
      const address = mapping.start + from - mapping.offset
      const result = libc.madvise(address, to - from, MADV_POPULATE_READ)
      check(result, "madvise", `map ${to - from} bytes of ${path}`)
      bytes += to - from
    }
  }
  return bytes
}
