/** Blocking sockets with a deadline, for code that runs without an event loop. */

import { LariatError } from "../../errors.ts"
import { check, EAGAIN, EINPROGRESS, EINTR, SystemError } from "../ffi/errno.ts"
import { concat } from "../ffi/file.ts"
import { errno, libc } from "../ffi/libc.ts"
import { type Deadline, POLLIN, POLLOUT, waitFor } from "../ffi/poll.ts"
import type { SocketAddress } from "./socket_address.ts"

// include/linux/net.h, include/linux/socket.h, include/uapi/asm-generic/socket.h
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOCK_NONBLOCK = 0o4000
export const SOL_SOCKET = 1
const SO_ERROR = 4
const MSG_DONTWAIT = 0x40
/** A closed peer gives EPIPE and no signal. */
const MSG_NOSIGNAL = 0x4000

const CHUNK_BYTES = 16_384

/** The deadline of a socket operation passed. `phase` says at what. */
export class SocketTimeout extends LariatError {
  override readonly name = "SocketTimeout"

  constructor(phase: "connect" | "send" | "receive", what: string) {
    super(`Cannot ${what}: no answer in time (${phase})`, { code: "io" })
  }
}

/** Opens a close-on-exec socket. @throws SystemError */
export function openSocket(family: number, type: number, protocol = 0): number {
  return check(libc.socket(family, type | SOCK_CLOEXEC, protocol), "socket", "open a socket")
}

/** Sets an option whose value is an int. @throws SystemError */
export function setIntOption(fd: number, level: number, name: number, value: number): void {
  const bytes = new Uint8Array(Int32Array.of(value).buffer)
  const result = libc.setsockopt(fd, level, name, bytes, 4)
  check(result, "setsockopt", `set socket option ${level}/${name} to ${value}`)
}

function intOption(fd: number, level: number, name: number): number {
  const value = new Int32Array(1)
  const length = new Uint8Array(Int32Array.of(4).buffer)
  const result = libc.getsockopt(fd, level, name, new Uint8Array(value.buffer), length)
  check(result, "getsockopt", `read socket option ${level}/${name}`)
  return value[0] ?? 0
}

/**
 * Connects a SOCK_NONBLOCK socket.
 *
 * @param what for the error, "connect to 10.0.0.1 port 80"
 * @throws SystemError, SocketTimeout
 */
export function connectBy(
  fd: number,
  address: SocketAddress,
  deadline: Deadline,
  what: string,
): void {
  if (libc.connect(fd, address.bytes, address.bytes.length) === 0) return
  if (errno() !== EINPROGRESS) throw new SystemError(errno(), "connect", what)
  if (waitFor(fd, POLLOUT, deadline) === 0) throw new SocketTimeout("connect", what)
  const failure = intOption(fd, SOL_SOCKET, SO_ERROR)
  if (failure !== 0) throw new SystemError(failure, "connect", what)
}

/** Sends all bytes. @throws SystemError, SocketTimeout */
export function sendBy(fd: number, bytes: Uint8Array, deadline: Deadline, what: string): void {
  let rest = bytes
  while (rest.length > 0) {
    const sent = libc.send(fd, rest, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL)
    if (sent >= 0) {
      rest = rest.subarray(sent)
      continue
    }
    if (errno() === EINTR) continue
    if (errno() !== EAGAIN) throw new SystemError(errno(), "send", what)
    if (waitFor(fd, POLLOUT, deadline) === 0) throw new SocketTimeout("send", what)
  }
}

/**
 * Receives until the peer closes, or until `complete` says that all is there.
 *
 * @param limit the most bytes that are accepted
 * @throws SystemError, SocketTimeout, LariatError io when more than `limit` comes
 */
export function receiveBy(
  fd: number,
  limit: number,
  deadline: Deadline,
  what: string,
  complete: (received: number, chunks: readonly Uint8Array[]) => boolean = () => false,
): Uint8Array {
  const chunks: Uint8Array[] = []
  let total = 0
  while (!complete(total, chunks)) {
    if (waitFor(fd, POLLIN, deadline) === 0) throw new SocketTimeout("receive", what)
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, limit + 1 - total))
    const count = libc.recv(fd, chunk, chunk.length, MSG_DONTWAIT)
    if (count === 0) break
    if (count < 0) {
      if (errno() === EINTR || errno() === EAGAIN) continue
      throw new SystemError(errno(), "recv", what)
    }
    total += count
    if (total > limit) {
      throw new LariatError(`Cannot ${what}: the answer exceeds ${limit} bytes`, { code: "io" })
    }
    chunks.push(chunk.subarray(0, count))
  }
  return concat(chunks, total)
}
