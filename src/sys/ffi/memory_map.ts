/** The memory map of this process: proc_pid_maps(5). */

import { readFile } from "./file.ts"

/** More text than the mappings of a process of ours ever are. */
const MAX_MAPS_BYTES = 16_777_216

/** "start-end perms offset dev inode path". */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s+(.*)$/

/** A mapping of a part of a file; addresses, offsets and lengths in bytes. */
export interface Mapping {
  readonly start: number
  readonly length: number
  /** Where in the file it begins. */
  readonly offset: number
  /** `r-xp` and the like. */
  readonly permissions: string
}

/** The mappings of a file, from the text of /proc/self/maps. */
export function parseMappings(maps: string, path: string): Mapping[] {
  const found: Mapping[] = []
  for (const line of maps.split("\n")) {
    const [, from = "", to = "", permissions = "", at = "", file] = LINE.exec(line) ?? []
    if (file !== path) continue
    const start = Number.parseInt(from, 16)
    found.push({
      start,
      length: Number.parseInt(to, 16) - start,
      offset: Number.parseInt(at, 16),
      permissions,
    })
  }
  return found
}

/**
 * This process's mappings of a file.
 *
 * @param path absolute, no links: as `readlink /proc/self/exe` tells it
 * @throws SystemError
 */
export function mappingsOf(path: string): Mapping[] {
  return parseMappings(new TextDecoder().decode(readFile("/proc/self/maps", MAX_MAPS_BYTES)), path)
}
