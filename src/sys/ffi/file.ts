/** Whole reads and writes on raw descriptors, and files that change in one step. */

import { LariatError } from "../../errors.ts"
import { check, EAGAIN, EINTR } from "./errno.ts"
import { cString, errno, libc } from "./libc.ts"
import { POLLIN, POLLOUT, waitFor } from "./poll.ts"

// include/uapi/asm-generic/fcntl.h
const O_RDONLY = 0
const O_WRONLY = 0o1
const O_CREAT = 0o100
const O_EXCL = 0o200
const O_CLOEXEC = 0o2000000

const CHUNK_BYTES = 65_536

/**
 * Writes all of `bytes`, going on after partial writes, signals and full pipes.
 *
 * @throws SystemError
 */
export function writeFd(fd: number, bytes: Uint8Array): void {
  let rest = bytes
  while (rest.length > 0) {
    const written = libc.write(fd, rest, rest.length)
    if (written >= 0) rest = rest.subarray(written)
    else if (errno() === EAGAIN) waitFor(fd, POLLOUT, Number.POSITIVE_INFINITY)
    else if (errno() !== EINTR) check(written, "write", `write to descriptor ${fd}`)
  }
}

/**
 * Reads up to the end of the file or stream.
 *
 * @param limit the most bytes that are accepted
 * @throws LariatError io when there is more; SystemError
 */
export function readAllFd(fd: number, limit: number): Uint8Array {
  const chunks: Uint8Array[] = []
  let total = 0
  for (;;) {
    // One byte more than allowed tells "too much" from "exactly as much".
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, limit + 1 - total))
    const count = libc.read(fd, chunk, chunk.length)
    if (count === 0) return concat(chunks, total)
    if (count > 0) {
      total += count
      if (total > limit) {
        throw new LariatError(`Cannot read descriptor ${fd}: it holds more than ${limit} bytes`, {
          code: "io",
        })
      }
      chunks.push(chunk.subarray(0, count))
    } else if (errno() === EAGAIN) waitFor(fd, POLLIN, Number.POSITIVE_INFINITY)
    else if (errno() !== EINTR) check(count, "read", `read descriptor ${fd}`)
  }
}

/** One array of all chunks, whose lengths make up `total`. */
export function concat(chunks: readonly Uint8Array[], total: number): Uint8Array {
  const [first] = chunks
  if (chunks.length === 1 && first !== undefined) return first
  const whole = new Uint8Array(total)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}

/** Opens a file of these flags, close-on-exec. @throws SystemError */
export type Opener = (path: string, flags: number) => number

const openHere: Opener = (path, flags) =>
  check(libc.open(cString(path), flags | O_CLOEXEC, 0), "open", `open ${path}`)

/**
 * The content of a small file.
 *
 * @param open default: as this thread sees it
 * @throws SystemError; LariatError io when it exceeds `limit`
 */
export function readFile(path: string, limit: number, open: Opener = openHere): Uint8Array {
  const fd = open(path, O_RDONLY)
  try {
    return readAllFd(fd, limit)
  } finally {
    libc.close(fd)
  }
}

/**
 * Writes a value to a file of /proc or /sys, in one write(2) as the kernel demands.
 *
 * @param open default: as this thread sees it
 * @throws SystemError
 */
export function writeProc(path: string, text: string, open: Opener = openHere): void {
  const fd = open(path, O_WRONLY)
  try {
    const bytes = new TextEncoder().encode(text)
    check(libc.write(fd, bytes, bytes.length), "write", `write ${JSON.stringify(text)} to ${path}`)
  } finally {
    libc.close(fd)
  }
}

function syncDirectory(directory: string): void {
  const path = cString(directory)
  const fd = check(libc.open(path, O_RDONLY | O_CLOEXEC, 0), "open", `open ${directory}`)
  try {
    check(libc.fsync(fd), "fsync", `sync ${directory}`)
  } finally {
    libc.close(fd)
  }
}

/**
 * Replaces a file so that any reader, and any power loss, finds the old content or the new one
 * whole. The new file lies beside the old one until it is complete and on disk.
 *
 * @param mode exact permissions, whatever the umask, for instance 0o600
 * @throws SystemError; nothing is left behind then
 */
export function writeFileAtomic(path: string, bytes: Uint8Array, mode: number): void {
  const slash = path.lastIndexOf("/")
  const directory = slash < 0 ? "." : path.slice(0, slash + 1)
  const suffix = crypto.getRandomValues(new Uint8Array(8)).toHex()
  const temporary = `${directory}${slash < 0 ? "/" : ""}.${path.slice(slash + 1)}.${suffix}`
  const name = cString(temporary)
  // O_EXCL also refuses a symbolic link that somebody put there.
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
  const fd = check(libc.open(name, flags, 0o600), "open", `create ${temporary}`)
  try {
    try {
      writeFd(fd, bytes)
      check(libc.fchmod(fd, mode), "fchmod", `set the mode of ${temporary}`)
      check(libc.fsync(fd), "fsync", `sync ${temporary}`)
    } finally {
      libc.close(fd)
    }
    check(libc.rename(name, cString(path)), "rename", `replace ${path}`)
  } catch (error) {
    libc.unlink(name)
    throw error
  }
  syncDirectory(directory)
}
