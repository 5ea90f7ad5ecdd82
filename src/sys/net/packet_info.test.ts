import { expect, test } from "bun:test"
import { libc } from "../ffi/libc.ts"
import { MessageBuffer, parseControl } from "./message_header.ts"
import { encodePacketInfo, localAddressOf, PACKET_INFO } from "./packet_info.ts"
import { openSocket, SOCK_DGRAM, setIntOption } from "./socket.ts"
import { ipSocketAddress } from "./socket_address.ts"

const V4 = Uint8Array.of(10, 42, 0, 1)
const V6 = Uint8Array.from({ length: 16 }, (_, index) => index)

test("struct in_pktinfo and in6_pktinfo behind their headers", () => {
  expect(encodePacketInfo(4, V4).toHex()).toBe(
    `1c000000000000000000000008000000${"00000000"}0a2a0001${"00000000"}${"00000000"}`,
  )
  expect(encodePacketInfo(6, V6).toHex()).toBe(
    `24000000000000002900000032000000${V6.toHex()}${"00000000"}${"00000000"}`,
  )
})

test("what is written is read, of its own family only, and nothing of a short one", () => {
  expect(localAddressOf(4, parseControl(encodePacketInfo(4, V4)))).toEqual(V4)
  expect(localAddressOf(6, parseControl(encodePacketInfo(6, V6)))).toEqual(V6)
  expect(localAddressOf(6, parseControl(encodePacketInfo(4, V4)))).toBeUndefined()
  const short = { level: 0, type: 8, data: new Uint8Array(11) }
  expect(localAddressOf(4, [short])).toBeUndefined()
})

test("the kernel sends from that address, and says by which one a datagram came", () => {
  const { bytes } = ipSocketAddress("127.0.0.2", 0)
  const receiver = openSocket(2, SOCK_DGRAM)
  const sender = openSocket(2, SOCK_DGRAM)
  setIntOption(receiver, PACKET_INFO[4].level, PACKET_INFO[4].receiveOption, 1)
  const wildcard = ipSocketAddress("0.0.0.0", 0).bytes
  expect(libc.bind(receiver, wildcard, wildcard.length)).toBe(0)
  const length = Uint8Array.of(16, 0, 0, 0)
  expect(libc.getsockname(receiver, wildcard, length)).toBe(0)
  bytes.set(wildcard.subarray(2, 4), 2)
  const buffer = new MessageBuffer(16)
  const control = encodePacketInfo(4, Uint8Array.of(127, 0, 0, 3))
  expect(buffer.send(sender, Uint8Array.of(1), { to: { family: 2, bytes }, control })).toBe(1)
  const message = buffer.receive(receiver, 0)
  if (typeof message === "number") throw new Error(`errno ${message}`)
  expect([...message.name.subarray(4, 8)]).toEqual([127, 0, 0, 3])
  expect(localAddressOf(4, message.control)).toEqual(Uint8Array.of(127, 0, 0, 2))
  libc.close(receiver)
  libc.close(sender)
})
