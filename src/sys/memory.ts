/** Giving memory back that only the start of the program needed. */

import { bunGlobal } from "./bun_global.ts"
import { check } from "./errno.ts"
import { readFile } from "./file.ts"
import { libc } from "./libc.ts"

/** include/uapi/asm-generic/mman-common.h: drop the pages, to be read again when touched. */
const MADV_DONTNEED = 4
/** More mappings than a process of ours ever has. */
const MAX_MAPS_BYTES = 4_194_304

/** A mapping of this process, addresses in bytes. */
export interface Mapping {
  readonly start: number
  readonly length: number
}

/**
 * The mappings of a file's code, from the text of /proc/self/maps (proc_pid_maps(5)). Code alone:
 * what a loader has written to in other mappings cannot be read from the file again.
 */
export function codeMappings(maps: string, path: string): Mapping[] {
  const found: Mapping[] = []
  for (const line of maps.split("\n")) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+\s+(.*)$/.exec(line)
    const [, from, to, file] = match ?? []
    if (from === undefined || to === undefined || file !== path) continue
    const start = Number.parseInt(from, 16)
    found.push({ start, length: Number.parseInt(to, 16) - start })
  }
  return found
}

/**
 * Collects garbage and lets go of the code that ran so far; what is needed again is mapped again
 * from the page cache, at about a microsecond for 64 KiB. After a start most of it never is.
 *
 * @throws SystemError
 */
export function releaseStartupMemory(): void {
  bunGlobal()?.gc(true)
  const maps = new TextDecoder().decode(readFile("/proc/self/maps", MAX_MAPS_BYTES))
  for (const { start, length } of codeMappings(maps, process.execPath)) {
    check(libc.madvise(start, length, MADV_DONTNEED), "madvise", "let go of start-up code")
  }
}
