/** One question and one answer over a unix socket, without an event loop: the CNI plugin's way. */

import { LariatError } from "../../errors.ts"
import { EACCES, EAGAIN, EINTR, EPERM, SystemError } from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"
import { deadlineIn } from "../ffi/poll.ts"
import { openSocket, receiveBy, SOCK_STREAM, SOL_SOCKET, SocketTimeout, sendBy } from "./socket.ts"
import { unixSocketAddress } from "./socket_address.ts"

/** include/uapi/asm-generic/socket.h; as a struct timeval of two longs on 64-bit processors. */
const SO_SNDTIMEO = 21

const MEBIBYTE = 1_048_576

function away(path: string, why: string, cause: unknown): LariatError {
  return new LariatError(`Cannot reach the agent at ${path}: ${why}`, {
    code: "agent-away",
    hint: "Is it running? See `systemctl status lariat`. LARIAT_SOCKET names another socket.",
    cause,
  })
}

/** What a failed call means to the caller: the agent is away, or it may not be asked. */
function explain(error: unknown, path: string, timeoutMs: number): unknown {
  if (error instanceof SocketTimeout) {
    return away(path, `it did not answer within ${timeoutMs} ms`, error)
  }
  if (!(error instanceof SystemError)) return error
  if (error.errno === EACCES || error.errno === EPERM) {
    return new LariatError(`Cannot reach the agent at ${path}: the socket is not yours to use`, {
      code: "permission",
      hint: "Run this command as root.",
      cause: error,
    })
  }
  if (error.errno === EAGAIN) return away(path, `it took no call within ${timeoutMs} ms`, error)
  return away(path, error.message, error)
}

/**
 * A unix socket cannot finish connecting later: when the server's backlog is full, a nonblocking
 * connect gives EAGAIN and nothing to wait for. So it blocks, and SO_SNDTIMEO bounds it.
 */
function connectWithin(fd: number, path: string, timeoutMs: number): void {
  const address = unixSocketAddress(path)
  const timeval = new BigInt64Array(2)
  timeval[0] = BigInt(Math.floor(timeoutMs / 1000))
  // Two zeros would mean no limit at all.
  timeval[1] = BigInt(Math.max(1, Math.floor((timeoutMs % 1000) * 1000)))
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, new Uint8Array(timeval.buffer), 16)
  // A wait that SO_SNDTIMEO bounds is not resumed after a signal, and the engine uses signals.
  while (libc.connect(fd, address.bytes, address.bytes.length) < 0) {
    if (errno() !== EINTR) throw new SystemError(errno(), "connect", `connect to ${path}`)
  }
}

/** Limits of {@link callUnix}. */
export interface CallOptions {
  /** For the whole call: connecting, sending and receiving. */
  readonly timeoutMs: number
  /** Default 1 MiB, what the agent reads. */
  readonly maxRequestBytes?: number
  /** Default 16 MiB. */
  readonly maxResponseBytes?: number
}

/**
 * Sends `request` and receives until the server closes. Blocks the thread.
 *
 * @throws LariatError agent-away when nobody listens, answers in time, or says anything;
 * permission; io when the request or the answer is too large; usage for a path over 107 bytes
 */
export function callUnix(path: string, request: Uint8Array, options: CallOptions): Uint8Array {
  const { timeoutMs, maxRequestBytes = MEBIBYTE, maxResponseBytes = 16 * MEBIBYTE } = options
  if (request.length > maxRequestBytes) {
    throw new LariatError(
      `Cannot ask the agent: the request has ${request.length} bytes, more than ${maxRequestBytes}`,
      { code: "io", hint: "Shorten the network configuration." },
    )
  }
  const deadline = deadlineIn(timeoutMs)
  const { family } = unixSocketAddress(path)
  const fd = openSocket(family, SOCK_STREAM)
  try {
    connectWithin(fd, path, timeoutMs)
    sendBy(fd, request, deadline, "send the request")
    const answer = receiveBy(fd, maxResponseBytes, deadline, "receive the answer")
    if (answer.length === 0) throw away(path, "it closed the connection without a word", undefined)
    return answer
  } catch (error) {
    throw explain(error, path, timeoutMs)
  } finally {
    libc.close(fd)
  }
}
