/**
 * Which pages of a file are in memory, and keeping them there.
 *
 * A CNI plugin call starts the whole binary: 4 ms when its pages are cached, over 80 ms when an
 * idle host with little memory has dropped them. The agent, which is the same binary, holds the
 * pages that a start needs.
 */

import { LariatError } from "../errors.ts"
import { check } from "./errno.ts"
import { readFile } from "./file.ts"
import { cString, libc } from "./libc.ts"

// include/uapi/asm-generic/fcntl.h, mman-common.h, include/uapi/linux/mman.h
const O_RDONLY = 0
const O_CLOEXEC = 0o2000000
const PROT_READ = 1
const MAP_SHARED = 1
const MADV_WILLNEED = 3
/** bits/confname.h, the same in glibc and musl. */
const SC_PAGESIZE = 30
/** STATX_SIZE and the place of stx_size, include/uapi/linux/stat.h */
const AT_EMPTY_PATH = 0x1000
const STATX_SIZE = 0x200
const STX_SIZE_OFFSET = 40

/** Bytes of a file from `offset` on. */
export interface ByteRange {
  readonly offset: number
  readonly length: number
}

/** Bytes of a page: 4,096 on x86-64, up to 65,536 on arm64. */
export function pageSize(): number {
  return libc.sysconf(SC_PAGESIZE)
}

/** Runs `use` on an open file of known size. */
function withFile<T>(path: string, use: (fd: number, size: number) => T): T {
  const fd = check(libc.open(cString(path), O_RDONLY | O_CLOEXEC, 0), "open", `open ${path}`)
  try {
    const statx = new Uint8Array(256)
    const result = libc.statx(fd, cString(""), AT_EMPTY_PATH, STATX_SIZE, statx)
    check(result, "statx", `look at ${path}`)
    return use(fd, Number(new DataView(statx.buffer).getBigUint64(STX_SIZE_OFFSET, true)))
  } finally {
    libc.close(fd)
  }
}

/** The ranges of the pages for which `has` holds, neighbours joined; the last ends at `size`. */
function rangesOf(pages: number, page: number, size: number, has: (index: number) => boolean) {
  const ranges: ByteRange[] = []
  for (let index = 0; index < pages; index++) {
    if (!has(index)) continue
    let end = index + 1
    while (end < pages && has(end)) end++
    const offset = index * page
    ranges.push({ offset, length: Math.min(end * page, size) - offset })
    index = end
  }
  return ranges
}

/**
 * The parts of a file that are in the page cache. The kernel tells the file's owner and root only;
 * for others it claims that all are.
 *
 * @throws SystemError
 */
export function residentRanges(path: string): ByteRange[] {
  return withFile(path, (fd, size) => {
    if (size === 0) return []
    const page = pageSize()
    const pages = Math.ceil(size / page)
    const address = libc.mmap(0, size, PROT_READ, MAP_SHARED, fd, 0)
    check(address, "mmap", `map ${path}`)
    try {
      // Bit 0: resident; the others are reserved.
      const vector = new Uint8Array(pages)
      check(libc.mincore(address, size, vector), "mincore", `look at the pages of ${path}`)
      return rangesOf(pages, page, size, (index) => ((vector[index] ?? 0) & 1) === 1)
    } finally {
      libc.munmap(address, size)
    }
  })
}

/** A mapping of /proc/self/maps: "start-end perms offset dev inode path". */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+\s+(.*)$/
/**
 * Bits 63 and 62 of a /proc/pid/pagemap entry: in memory, or swapped out. A private copy counts
 * too: the next start reads the file's page before it copies it.
 */
const PAGEMAP_TOUCHED = 0xc0000000

/**
 * The parts of a file that this process has mapped and touched (or the kernel mapped around a
 * touch). For the own binary that is what a start needs, and a little more.
 *
 * @param path as in /proc/self/maps: absolute, no links
 * @throws SystemError
 */
export function touchedRanges(path: string): ByteRange[] {
  const page = pageSize()
  const maps = new TextDecoder().decode(readFile("/proc/self/maps", 16_777_216))
  const touched = new Set<number>()
  const pagemap = check(
    libc.open(cString("/proc/self/pagemap"), O_RDONLY | O_CLOEXEC, 0),
    "open",
    "open /proc/self/pagemap",
  )
  try {
    for (const line of maps.split("\n")) {
      const [, start = "", end = "", offset = "", file] = MAPPING.exec(line) ?? []
      if (file !== path) continue
      const first = Number.parseInt(start, 16) / page
      const count = Number.parseInt(end, 16) / page - first
      const entries = new Uint8Array(count * 8)
      const got = libc.pread(pagemap, entries, entries.length, first * 8)
      check(got, "pread", "read /proc/self/pagemap")
      const view = new DataView(entries.buffer)
      for (let index = 0; index < Math.floor(got / 8); index++) {
        if ((view.getUint32(index * 8 + 4, true) & PAGEMAP_TOUCHED) === 0) continue
        touched.add(Number.parseInt(offset, 16) / page + index)
      }
    }
  } finally {
    libc.close(pagemap)
  }
  return withFile(path, (_, size) =>
    rangesOf(Math.ceil(size / page), page, size, (index) => touched.has(index)),
  )
}

/** Pages of a file that stay in memory until `close`. */
export interface HeldPages {
  /** How many bytes, in whole pages. */
  readonly bytes: number
  /** False where the limit on locked memory allowed no more than reading them in. */
  readonly locked: boolean
  /** Idempotent. */
  close(): void
}

/**
 * Reads parts of a file into memory and keeps them there (mlock(2) needs CAP_IPC_LOCK or
 * RLIMIT_MEMLOCK). Blocks while the disk is read. It holds the file as it is now: after a
 * replacement, hold the new one.
 *
 * @throws SystemError; LariatError usage for a range outside the file
 */
export function holdPages(path: string, ranges: readonly ByteRange[]): HeldPages {
  const page = pageSize()
  const mappings: { address: number; length: number }[] = []
  const close = () => {
    for (const { address, length } of mappings.splice(0)) libc.munmap(address, length)
  }
  let locked = true
  let bytes = 0
  try {
    withFile(path, (fd, size) => {
      for (const { offset, length } of ranges) {
        if (offset < 0 || length <= 0 || offset + length > size) {
          const range = `${length} bytes at ${offset}`
          throw new LariatError(`Cannot hold ${range} of ${path}: it has ${size} bytes`, {
            code: "usage",
          })
        }
        const start = offset - (offset % page)
        const whole = Math.ceil((offset + length - start) / page) * page
        const address = libc.mmap(0, whole, PROT_READ, MAP_SHARED, fd, start)
        mappings.push({ address: check(address, "mmap", `map ${path}`), length: whole })
        bytes += whole
        if (libc.mlock(address, whole) === 0) continue
        locked = false
        libc.madvise(address, whole, MADV_WILLNEED)
      }
    })
  } catch (error) {
    close()
    throw error
  }
  return { bytes, locked, close }
}
