import { expect, test } from "bun:test"
import fc from "fast-check"
import { formatAddress } from "../../core/address.ts"
import {
  decodeNatMessage,
  type Endpoint,
  encodeNatMessage,
  NAT_MESSAGE_BYTES,
  type NatMessage,
  sameEndpoint,
} from "./nat_message.ts"

const endpoint: fc.Arbitrary<Endpoint> = fc
  .record({
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    ),
    port: fc.integer({ min: 0, max: 0xffff }),
  })
  .map(({ bytes, port }) => ({
    address: formatAddress({ family: bytes.length === 4 ? 4 : 6, bytes }),
    port,
  }))
const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 })
const number = fc.integer({ min: 1, max: 0xffff })
const message: fc.Arbitrary<NatMessage> = fc.record({
  kind: fc.constantFrom("request", "answer", "confirm"),
  sender: number,
  receiver: number,
  nonce: sixteen,
  cookie: sixteen,
  near: endpoint,
  far: endpoint,
  encapsulate: fc.boolean(),
})
const key = fc.uint8Array({ minLength: 32, maxLength: 32 })

test("what is written is read, and all messages have one length", () => {
  fc.assert(
    fc.property(message, key, (whole, secret) => {
      const bytes = encodeNatMessage(whole, secret)
      expect(bytes.length).toBe(NAT_MESSAGE_BYTES)
      expect(
        decodeNatMessage(bytes, (from) => (from === whole.sender ? secret : undefined)),
      ).toEqual(whole)
    }),
  )
})

test("one bit changed anywhere, another key or another length: nothing is read", () => {
  fc.assert(
    fc.property(message, key, fc.nat({ max: NAT_MESSAGE_BYTES * 8 - 1 }), (whole, secret, bit) => {
      const bytes = encodeNatMessage(whole, secret)
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(decodeNatMessage(changed, () => secret)).toBeUndefined()
      const other = secret.with(0, (secret[0] ?? 0) ^ 1)
      expect(decodeNatMessage(bytes, () => other)).toBeUndefined()
      expect(decodeNatMessage(bytes, () => undefined)).toBeUndefined()
      expect(decodeNatMessage(bytes.subarray(0, -1), () => secret)).toBeUndefined()
      expect(decodeNatMessage(Uint8Array.of(...bytes, 0), () => secret)).toBeUndefined()
    }),
  )
})

test("any bytes are refused quietly", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.uint8Array({ minLength: NAT_MESSAGE_BYTES, maxLength: NAT_MESSAGE_BYTES }),
  )
  fc.assert(
    fc.property(bytes, key, (some, secret) => {
      expect(decodeNatMessage(some, () => secret)).toBeUndefined()
    }),
  )
})

test("endpoints are the same however their address is written", () => {
  expect(sameEndpoint({ address: "fd00::1", port: 1 }, { address: "fd00:0::1", port: 1 })).toBe(
    true,
  )
  expect(sameEndpoint({ address: "fd00::1", port: 1 }, { address: "fd00::1", port: 2 })).toBe(false)
  expect(sameEndpoint({ address: "10.0.0.1", port: 1 }, { address: "10.0.0.2", port: 1 })).toBe(
    false,
  )
})
