import { expect, test } from "bun:test"
import fc from "fast-check"
import { EAGAIN } from "../ffi/errno.ts"
import { errno, libc } from "../ffi/libc.ts"
import { encodeControl, MessageBuffer, MSG_TRUNC, parseControl } from "./message_header.ts"
import { unixSocketAddress } from "./socket_address.ts"

const MSG_DONTWAIT = 0x40

function datagramPair(): [number, number] {
  const pair = new Int32Array(2)
  // AF_UNIX, SOCK_DGRAM
  expect(libc.socketpair(1, 2, 0, new Uint8Array(pair.buffer))).toBe(0)
  return [pair[0] ?? -1, pair[1] ?? -1]
}

test("ancillary data that is written is read, with the kernel's alignment", () => {
  const message = fc.record({
    level: fc.integer({ min: 0, max: 300 }),
    type: fc.integer({ min: 0, max: 300 }),
    data: fc.uint8Array({ maxLength: 40 }),
  })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const bytes = encodeControl(messages)
      expect(bytes.length % 8).toBe(0)
      expect(parseControl(bytes).map((one) => ({ ...one, data: one.data.slice() }))).toEqual(
        messages,
      )
    }),
  )
  expect(encodeControl([{ level: 1, type: 1, data: Uint8Array.of(7, 0, 0, 0) }]).toHex()).toBe(
    "14000000000000000100000001000000" + "0700000000000000",
  )
})

test("ancillary data of any bytes is read without going beyond its end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      let total = 0
      for (const { data } of parseControl(bytes)) total += data.length
      expect(total).toBeLessThanOrEqual(bytes.length)
    }),
  )
})

test("a datagram goes and comes, cut where the buffer is short", () => {
  const [near, far] = datagramPair()
  const buffer = new MessageBuffer(8)
  expect(buffer.send(near, new TextEncoder().encode("hello"))).toBe(5)
  const received = buffer.receive(far, MSG_DONTWAIT)
  if (typeof received === "number") throw new Error(`errno ${received}`)
  expect(new TextDecoder().decode(received.data)).toBe("hello")
  expect(received.flags).toBe(0)
  new MessageBuffer(20).send(near, new Uint8Array(20).fill(7))
  const cut = buffer.receive(far, MSG_DONTWAIT)
  if (typeof cut === "number") throw new Error(`errno ${cut}`)
  expect(cut.data.length).toBe(8)
  expect(cut.flags & MSG_TRUNC).toBe(MSG_TRUNC)
  expect(buffer.receive(far, MSG_DONTWAIT)).toBe(EAGAIN)
  expect(() => buffer.send(near, new Uint8Array(9))).toThrow(RangeError)
  libc.close(near)
  libc.close(far)
})

test("an address goes with the datagram, and a failure leaves its errno", () => {
  const name = unixSocketAddress(`@lariat-msghdr-${process.pid}`)
  const listener = libc.socket(1, 2, 0)
  expect(libc.bind(listener, name.bytes, name.bytes.length)).toBe(0)
  const sender = libc.socket(1, 2, 0)
  const buffer = new MessageBuffer(64)
  expect(buffer.send(sender, Uint8Array.of(1, 2), { to: name })).toBe(2)
  const received = buffer.receive(listener, MSG_DONTWAIT)
  expect(typeof received === "number" ? received : [...received.data]).toEqual([1, 2])
  expect(buffer.send(sender, Uint8Array.of(1))).toBe(-1)
  // ENOTCONN
  expect(errno()).toBe(107)
  libc.close(listener)
  libc.close(sender)
})
