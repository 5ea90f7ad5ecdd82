/** Who holds the lock of a file. */

import { readFileSync, statSync } from "node:fs"

/** By which call a lock was made: fcntl(2) or flock(2). */
export type LockKind = "POSIX" | "FLOCK"

/**
 * The process that holds a write lock on a file, from /proc/locks; undefined where the kernel does
 * not tell, for instance because the holder lives in another PID namespace.
 *
 * SQLite locks with fcntl(2), and such locks go with their process however it ends. They also go
 * when the process closes any descriptor of the file: nobody may open the database beside SQLite.
 */
export function lockHolder(path: string, kind: LockKind = "POSIX"): number | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return holderIn(readFileSync("/proc/locks", "utf8"), dev, ino, kind)
  } catch {
    return undefined
  }
}

/**
 * Finds the writer in the text of /proc/locks. A line is, after proc_locks(5),
 * `1: POSIX ADVISORY WRITE 1234 fe:00:5678 1073741826 1073742335`: device in hex, inode in decimal.
 */
export function holderIn(
  locks: string,
  dev: bigint,
  ino: bigint,
  kind: LockKind = "POSIX",
): number | undefined {
  for (const line of locks.split("\n")) {
    const match =
      /(POSIX|FLOCK)\s+ADVISORY\s+WRITE\s+([0-9]+)\s+([0-9a-f]+):([0-9a-f]+):([0-9]+)\s/.exec(line)
    const [, made, pid, major, minor, inode] = match ?? []
    if (made !== kind) continue
    if (pid === undefined || major === undefined || minor === undefined) continue
    if (inode !== String(ino)) continue
    if (Number.parseInt(major, 16) !== majorOf(dev)) continue
    if (Number.parseInt(minor, 16) !== minorOf(dev)) continue
    return Number(pid) > 0 ? Number(pid) : undefined
  }
  return undefined
}

/** Bits of st_dev as glibc's gnu_dev_major(3) and gnu_dev_minor(3) cut them. */
function majorOf(dev: bigint): number {
  return Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n))
}

function minorOf(dev: bigint): number {
  return Number((dev & 0xffn) | ((dev >> 12n) & 0xffffff00n))
}
