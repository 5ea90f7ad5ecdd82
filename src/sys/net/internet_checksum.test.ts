import { expect, test } from "bun:test"
import fc from "fast-check"
import { internetChecksum } from "./internet_checksum.ts"

test("the example of RFC 1071 §3", () => {
  expect(internetChecksum(Uint8Array.fromHex("0001f203f4f5f6f7"))).toBe(0xffff & ~0xddf2)
})

test("bytes that hold their own checksum sum to zero; an odd one counts as followed by zero", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2, maxLength: 2000 }), (bytes) => {
      bytes[0] = 0
      bytes[1] = 0
      const padded = Uint8Array.from([...bytes, ...(bytes.length % 2 === 0 ? [] : [0])])
      const sum = internetChecksum(bytes)
      expect(internetChecksum(padded)).toBe(sum)
      new DataView(padded.buffer).setUint16(0, sum, false)
      expect(internetChecksum(padded)).toBe(0)
    }),
  )
})
