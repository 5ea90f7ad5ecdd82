/** One TCP connection that carries a pattern, both of its ends. */
import { check, EAGAIN, EINPROGRESS, EINTR, SystemError } from "../../src/sys/ffi/errno.ts"
import { errno, libc } from "../../src/sys/ffi/libc.ts"
import { POLLIN, POLLOUT } from "../../src/sys/ffi/poll.ts"
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../../src/sys/net/socket.ts"
import { ipSocketAddress } from "../../src/sys/net/socket_address.ts"
import { boundSocket, pollAny } from "./stream_socket.ts"
import type { TrafficChannel, TrafficOrder } from "./traffic_channel.ts"

/** Prime, so that a piece that is lost or doubled puts everything behind it out of step. */
const PATTERN_BYTES = 65_521
const CHUNK_BYTES = 32 * 1024
/** A transfer of which nothing arrives for so long has failed. */
const STALL_MS = 60_000
/** How often a paced connection looks whether it may send again. */
const TICK_MS = 10
// include/uapi/linux/tcp.h
const IPPROTO_TCP = 6
const TCP_INFO = 11
/** In struct tcp_info. */
const SND_MSS_OFFSET = 16
const TOTAL_RETRANS_OFFSET = 100
const MSG_NOSIGNAL = 0x4000

const pattern = Uint8Array.from({ length: PATTERN_BYTES + CHUNK_BYTES }, (_, at) => {
  const place = at % PATTERN_BYTES
  return (place * 167 + (place >> 8)) & 0xff
})

/** Sends until all is sent, or the channel says to stop, and reads to the end. @throws SystemError */
export function runTcp(order: TrafficOrder, channel: TrafficChannel, running: () => void): void {
  const listener = boundSocket(order.to, SOCK_STREAM, order.destination, order.port)
  const client = boundSocket(order.from, SOCK_STREAM, order.source, 0)
  let server = -1
  try {
    check(libc.listen(listener, 1), "listen", "listen")
    server = connectBoth(listener, client, order)
    running()
    new TcpLoop(order, channel, client, server).run()
  } finally {
    for (const fd of [listener, client, server]) if (fd >= 0) libc.close(fd)
  }
}

function connectBoth(listener: number, client: number, order: TrafficOrder): number {
  const what = `connect to ${order.destination} port ${order.port}`
  const { bytes } = ipSocketAddress(order.destination, order.port)
  if (libc.connect(client, bytes, bytes.length) < 0 && errno() !== EINPROGRESS) {
    throw new SystemError(errno(), "connect", what)
  }
  const until = performance.now() + STALL_MS
  while (performance.now() < until) {
    pollAny([{ fd: listener, events: POLLIN }], 100)
    const server = libc.accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if (server >= 0) return server
    if (errno() !== EAGAIN && errno() !== EINTR) throw new SystemError(errno(), "accept4", what)
  }
  throw new Error(`Cannot ${what}: no answer in ${STALL_MS} ms`)
}

class TcpLoop {
  readonly #order: TrafficOrder
  readonly #channel: TrafficChannel
  readonly #client: number
  readonly #server: number
  readonly #buffer = new Uint8Array(CHUNK_BYTES)
  readonly #started = performance.now()
  #sent = 0
  #received = 0
  #ended = false
  #lastArrival = this.#started

  constructor(order: TrafficOrder, channel: TrafficChannel, client: number, server: number) {
    this.#order = order
    this.#channel = channel
    this.#client = client
    this.#server = server
  }

  run(): void {
    for (;;) {
      const allowed = this.#allowed()
      if (allowed > 0) this.#send(allowed)
      else if (this.#mayEnd()) this.#end()
      if (!this.#receive()) return
      if (performance.now() - this.#lastArrival > STALL_MS) {
        throw new Error(`Nothing arrived for ${STALL_MS} ms, after ${this.#received} bytes`)
      }
      const writes = allowed > 0 ? [{ fd: this.#client, events: POLLOUT }] : []
      pollAny([{ fd: this.#server, events: POLLIN }, ...writes], TICK_MS)
    }
  }

  /** Bytes that may be sent now. */
  #allowed(): number {
    const { rate, size } = this.#order
    if (this.#ended || this.#channel.stopping) return 0
    const left = size === 0 ? CHUNK_BYTES : size - this.#sent
    const due =
      rate === 0
        ? CHUNK_BYTES
        : Math.floor(((performance.now() - this.#started) * rate) / 1000) - this.#sent
    return Math.min(left, due, CHUNK_BYTES)
  }

  #mayEnd(): boolean {
    const { size } = this.#order
    return !this.#ended && (this.#channel.stopping || (size > 0 && this.#sent >= size))
  }

  #send(count: number): void {
    const from = this.#sent % PATTERN_BYTES
    const bytes = pattern.subarray(from, from + count)
    const sent = libc.send(this.#client, bytes, bytes.length, MSG_NOSIGNAL)
    if (sent >= 0) this.#sent += sent
    else if (errno() !== EAGAIN && errno() !== EINTR) {
      throw new SystemError(errno(), "send", `send on after ${this.#sent} bytes`)
    }
    this.#channel.set("sent", this.#sent)
  }

  /** Says that no more comes. */
  #end(): void {
    this.#ended = true
    const SHUT_WR = 1
    check(libc.shutdown(this.#client, SHUT_WR), "shutdown", "end the connection")
    this.#channel.set("elapsedMs", performance.now() - this.#started)
  }

  /** @returns false when the other side has ended and all is read */
  #receive(): boolean {
    for (;;) {
      const length = libc.recv(this.#server, this.#buffer, this.#buffer.length, 0)
      if (length === 0) {
        this.#note()
        return false
      }
      if (length < 0) {
        if (errno() === EAGAIN || errno() === EINTR) return true
        throw new SystemError(errno(), "recv", `receive on after ${this.#received} bytes`)
      }
      const from = this.#received % PATTERN_BYTES
      const wanted = pattern.subarray(from, from + length)
      if (Buffer.compare(this.#buffer.subarray(0, length), wanted) !== 0) {
        this.#channel.add("corrupt")
      }
      const now = performance.now()
      const gap = now - this.#lastArrival
      if (gap > this.#channel.get("longestGapMs")) this.#channel.set("longestGapMs", gap)
      this.#lastArrival = now
      this.#received += length
      this.#channel.set("received", this.#received)
    }
  }

  #note(): void {
    const info = new Uint8Array(256)
    const length = new Uint8Array(Int32Array.of(info.length).buffer)
    check(libc.getsockopt(this.#client, IPPROTO_TCP, TCP_INFO, info, length), "getsockopt", "look")
    const view = new DataView(info.buffer)
    this.#channel.set("segmentBytes", view.getUint32(SND_MSS_OFFSET, true))
    this.#channel.set("retransmits", view.getUint32(TOTAL_RETRANS_OFFSET, true))
    this.#channel.set("elapsedMs", performance.now() - this.#started)
  }
}
