/** A paced stream of numbered datagrams, and its receiver. */
import { EAGAIN, EINTR, SystemError } from "../../src/sys/ffi/errno.ts"
import { errno, libc } from "../../src/sys/ffi/libc.ts"
import { POLLIN } from "../../src/sys/ffi/poll.ts"
import { SOCK_DGRAM } from "../../src/sys/net/socket.ts"
import { ipSocketAddress } from "../../src/sys/net/socket_address.ts"
import { boundSocket, pollAny } from "./stream_socket.ts"
import { MAX_SEQUENCE, type TrafficChannel, type TrafficOrder } from "./traffic_channel.ts"

/** Token of the stream (8 bytes), sequence number (4). */
export const UDP_HEADER_BYTES = 12
const BUFFER_BYTES = 16 * 1024 * 1024
/**
 * Packets that are sent in a row after the thread was held up: more would overrun the queue between
 * a veth's ends (net.core.netdev_max_backlog, 1000), which no network is to blame for.
 */
const BURST = 16
/** What is still on its way when the sender has ended. */
const QUIET_MS = 700
const LAST_MS = 4000

/** Sends until the channel says to stop. @throws SystemError */
export function runUdp(order: TrafficOrder, channel: TrafficChannel, running: () => void): void {
  const options = { bufferBytes: BUFFER_BYTES }
  const receiver = boundSocket(order.to, SOCK_DGRAM, order.destination, order.port, options)
  const sender = boundSocket(order.from, SOCK_DGRAM, order.source, 0, options)
  try {
    new UdpLoop(order, channel, sender, receiver).run(running)
  } finally {
    libc.close(sender)
    libc.close(receiver)
  }
}

class UdpLoop {
  readonly #channel: TrafficChannel
  readonly #sender: number
  readonly #receiver: number
  readonly #perMs: number
  readonly #address: Uint8Array
  readonly #packet: Uint8Array
  readonly #packetView: DataView
  readonly #token = crypto.getRandomValues(new Uint8Array(8))
  readonly #buffer = new Uint8Array(65_536)
  readonly #bufferView = new DataView(this.#buffer.buffer)
  readonly #wanted: readonly { readonly fd: number; readonly events: number }[]
  #sent = 0
  #highest = -1
  #lastArrival = 0

  constructor(order: TrafficOrder, channel: TrafficChannel, sender: number, receiver: number) {
    this.#channel = channel
    this.#sender = sender
    this.#receiver = receiver
    this.#perMs = order.rate / 1000
    this.#address = ipSocketAddress(order.destination, order.port).bytes
    this.#packet = new Uint8Array(Math.max(UDP_HEADER_BYTES, order.size)).fill(0x5a)
    this.#packet.set(this.#token)
    this.#packetView = new DataView(this.#packet.buffer)
    this.#wanted = [{ fd: receiver, events: POLLIN }]
  }

  run(running: () => void): void {
    running()
    const started = performance.now()
    while (!this.#channel.stopping && this.#sent < MAX_SEQUENCE) {
      const due = Math.floor((performance.now() - started) * this.#perMs) - this.#sent
      for (let count = Math.min(due, BURST); count > 0; count--) this.#send()
      this.#receive()
      pollAny(this.#wanted, 1)
    }
    const ended = performance.now()
    this.#channel.set("elapsedMs", ended - started)
    while (this.#channel.get("received") < this.#sent) {
      const now = performance.now()
      if (now - ended > LAST_MS || now - Math.max(this.#lastArrival, ended) > QUIET_MS) break
      pollAny(this.#wanted, 20)
      this.#receive()
    }
  }

  /** What the kernel refuses counts as sent: it does not arrive. */
  #send(): void {
    this.#packetView.setUint32(8, this.#sent)
    const { length } = this.#packet
    const address = this.#address
    if (libc.sendto(this.#sender, this.#packet, length, 0, address, address.length) < 0) {
      this.#channel.add("sendErrors")
      this.#channel.set("lastErrno", errno())
    }
    this.#sent += 1
    this.#channel.set("sent", this.#sent)
  }

  #receive(): void {
    for (;;) {
      const length = libc.recv(this.#receiver, this.#buffer, this.#buffer.length, 0)
      if (length >= 0) this.#take(length)
      else if (errno() === EAGAIN) return
      else if (errno() !== EINTR) throw new SystemError(errno(), "recv", "receive a datagram")
    }
  }

  #take(length: number): void {
    if (!this.#isOurs(length)) {
      this.#channel.add("corrupt")
      return
    }
    const sequence = this.#bufferView.getUint32(8)
    if (!this.#channel.arrive(sequence)) {
      this.#channel.add("duplicates")
      return
    }
    const now = performance.now()
    if (this.#highest >= 0) {
      const gap = now - this.#lastArrival
      if (gap > this.#channel.get("longestGapMs")) this.#channel.set("longestGapMs", gap)
    }
    this.#lastArrival = now
    if (sequence < this.#highest) this.#channel.add("reordered")
    else this.#highest = sequence
    this.#channel.add("received")
  }

  #isOurs(length: number): boolean {
    if (length !== this.#packet.length) return false
    if (!this.#token.every((byte, at) => this.#buffer[at] === byte)) return false
    return this.#bufferView.getUint32(8) < MAX_SEQUENCE
  }
}
