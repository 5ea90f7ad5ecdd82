import { expect, test } from "bun:test"
import fc from "fast-check"
import { internetChecksum } from "../net/internet_checksum.ts"
import {
  ECHO_LAYOUT,
  echoPacketLimits,
  encodeEcho,
  parseEchoReply,
  parseQuotedEcho,
} from "./echo_packet.ts"

const family = fc.constantFrom<4 | 6>(4, 6)
const mark = fc.record({
  id: fc.integer({ min: 0, max: 0xffff }),
  sequence: fc.integer({ min: 0, max: 0xffff }),
  cookie: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
})

/** The request turned into what its target sends back, as a raw socket sees it. */
function answerTo(version: 4 | 6, request: Uint8Array, optionBytes = 0): Uint8Array {
  const message = request.slice()
  message[0] = ECHO_LAYOUT[version].reply
  if (version === 6) return message
  const header = new Uint8Array(20 + optionBytes)
  header[0] = 0x40 | (header.length / 4)
  return Uint8Array.from([...header, ...message])
}

test("an IPv4 request, byte for byte", () => {
  const bytes = encodeEcho(4, { id: 0x1234, sequence: 7, cookie: 0x0102030405060708n }, 38)
  // Checksum by hand: ~(0800 + 1234 + 0007 + 0102 + 0304 + 0506 + 0708 + 0000)
  expect(bytes.toHex()).toBe("0800d5b0123400070102030405060708" + "0000")
})

test("a reply brings back what the request had, for every size", () => {
  fc.assert(
    fc.property(
      family,
      mark,
      fc.integer({ min: 0, max: 9000 }),
      fc.integer({ min: 0, max: 10 }),
      (version, wanted, more, options) => {
        const packetBytes = echoPacketLimits(version).min + more
        const request = encodeEcho(version, wanted, packetBytes)
        expect(request.length + ECHO_LAYOUT[version].ipHeaderBytes).toBe(packetBytes)
        if (version === 4) expect(internetChecksum(request)).toBe(0)
        const reply = parseEchoReply(version, answerTo(version, request, options * 4))
        expect(reply).toEqual({ ...wanted, packetBytes })
        expect(parseQuotedEcho(version, request)).toEqual(wanted)
        expect(parseQuotedEcho(version, request.subarray(0, 8))?.cookie).toBeUndefined()
        // A request is no reply.
        const own = answerTo(version, request)
        own[version === 4 ? 20 : 0] = ECHO_LAYOUT[version].request
        expect(parseEchoReply(version, own)).toBeUndefined()
      },
    ),
  )
})

test("any bytes are read or refused", () => {
  fc.assert(
    fc.property(family, fc.uint8Array({ maxLength: 80 }), (version, bytes) => {
      const reply = parseEchoReply(version, bytes)
      if (reply !== undefined) expect(reply.packetBytes).toBeLessThanOrEqual(bytes.length + 40)
      parseQuotedEcho(version, bytes)
    }),
  )
})
