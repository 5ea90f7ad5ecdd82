/**
 * write(2) on threads of libc (POSIX asynchronous I/O), for writes that block in the kernel.
 *
 * The runtime's own pool has one thread for each processor: two deletions of links, 20 ms each,
 * would hold up every file operation of the process. glibc and musl have a pool of their own,
 * which grows to some twenty threads and ends when it is idle. Both write to sockets, which have
 * no position, as write(2) does.
 */

import { LariatError } from "../errors.ts"
import { EINPROGRESS, SystemError } from "./ffi/errno.ts"
import { addressOf, libc } from "./ffi/libc.ts"

/**
 * struct aiocb (aio.h). glibc and musl agree, on x86-64 and arm64, on the fields that a program
 * sets: descriptor (int, 0), buffer (pointer, 16), length (size_t, 24), and in the sigevent at 32
 * the kind of notification (int, 44). The whole is 168 bytes; more is asked for lest it grow.
 */
const AIOCB_BYTES = 256
/** SIGEV_NONE (signal.h): nobody is told, `isOver` is asked. */
const SIGEV_NONE = 1
/** An engine may move small arrays, and C holds their address. */
const MIN_PINNED_BYTES = 256

/** One write(2) under way on another thread. */
export class AsyncWrite {
  readonly #control = new Uint8Array(AIOCB_BYTES)
  /** Kept as long as libc may read it. */
  readonly #bytes: Uint8Array
  readonly #what: string

  /**
   * Starts the write. The bytes are copied. Threads that libc makes for it are born in the
   * caller's network namespace: never start one inside a container's.
   *
   * @throws LariatError busy
   */
  constructor(fd: number, bytes: Uint8Array) {
    this.#what = `write ${bytes.length} bytes to descriptor ${fd}`
    this.#bytes = new Uint8Array(Math.max(bytes.length, MIN_PINNED_BYTES))
    this.#bytes.set(bytes)
    const view = new DataView(this.#control.buffer)
    view.setInt32(0, fd, true)
    view.setBigUint64(16, BigInt(addressOf(this.#bytes)), true)
    view.setBigUint64(24, BigInt(bytes.length), true)
    view.setInt32(44, SIGEV_NONE, true)
    if (libc.aio_write(this.#control) !== 0) {
      throw new LariatError(`Cannot ${this.#what}: libc has no thread for it`, {
        code: "busy",
        hint: "Try again when fewer such writes are under way.",
      })
    }
    inFlight.add(this)
  }

  /**
   * Whether the write is over; the descriptor must stay open until then.
   *
   * @throws SystemError the write failed
   */
  isOver(): boolean {
    if (!inFlight.has(this)) return true
    const number = libc.aio_error(this.#control)
    if (number === EINPROGRESS) return false
    inFlight.delete(this)
    libc.aio_return(this.#control)
    if (number !== 0) throw new SystemError(number, "write", this.#what)
    return true
  }
}

/** libc holds addresses of these: the collector must not take them, whatever the caller drops. */
const inFlight = new Set<AsyncWrite>()
