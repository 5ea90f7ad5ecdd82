/** Which parts of a file this process has in use: proc_pid_pagemap(5). */

import { check } from "./errno.ts"
import { cString, libc } from "./libc.ts"
import { mappingsOf } from "./memory_map.ts"

// include/uapi/asm-generic/fcntl.h
const O_RDONLY = 0
const O_CLOEXEC = 0o2000000
/** bits/confname.h, the same in glibc and musl. */
const SC_PAGESIZE = 30
/** Bytes of an entry of the pagemap. */
const ENTRY_BYTES = 8
/**
 * Bits 63 and 62 of an entry, here of its upper half: in memory, or swapped out. A private copy
 * counts too: the next start reads the file's page before it copies it.
 */
const TOUCHED = 0xc0000000

/** Bytes of a file from `offset` on. */
export interface ByteRange {
  readonly offset: number
  readonly length: number
}

/** The kernel's table of pages for the mappings of one file, as it was at one moment. */
export interface PageSnapshot {
  readonly path: string
  /** Bytes: 4,096 on x86-64, up to 65,536 on arm64. */
  readonly pageBytes: number
  /** Per mapping: where in the file it begins, and its entries. */
  readonly parts: readonly { readonly offset: number; readonly entries: Uint8Array }[]
}

/**
 * Copies the table, which takes a fraction of a millisecond; reading it can wait.
 *
 * @param path absolute, no links: as `readlink /proc/self/exe` tells it
 * @throws SystemError
 */
export function snapshotPages(path: string): PageSnapshot {
  const pageBytes = libc.sysconf(SC_PAGESIZE)
  const name = "/proc/self/pagemap"
  const fd = check(libc.open(cString(name), O_RDONLY | O_CLOEXEC, 0), "open", `open ${name}`)
  try {
    const parts = mappingsOf(path).map(({ start, length, offset }) => {
      const entries = new Uint8Array((length / pageBytes) * ENTRY_BYTES)
      const at = (start / pageBytes) * ENTRY_BYTES
      const got = check(libc.pread(fd, entries, entries.length, at), "pread", `read ${name}`)
      return { offset, entries: entries.subarray(0, got) }
    })
    return { path, pageBytes, parts }
  } finally {
    libc.close(fd)
  }
}

/**
 * The parts of the file that were in use (or that the kernel had mapped around a use), neighbours
 * joined, in order. For a program's own file that is what its start needs, and a little more.
 */
export function touchedRanges({ pageBytes, parts }: PageSnapshot): ByteRange[] {
  const pages = new Set<number>()
  for (const { offset, entries } of parts) {
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength)
    const first = offset / pageBytes
    for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
      if ((view.getUint32(at + 4, true) & TOUCHED) !== 0) pages.add(first + at / ENTRY_BYTES)
    }
  }
  const ranges: { offset: number; length: number }[] = []
  for (const page of [...pages].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    const offset = page * pageBytes
    if (last !== undefined && last.offset + last.length === offset) last.length += pageBytes
    else ranges.push({ offset, length: pageBytes })
  }
  return ranges
}
