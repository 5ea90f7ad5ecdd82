import { expect, test } from "bun:test"
import fc from "fast-check"
import { prefixRange } from "./key_range.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const before = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) < 0

test("a key is in the range exactly when it begins with the prefix", () => {
  const text = fc.string({ unit: "binary", maxLength: 4 })
  fc.assert(
    fc.property(text, text, (prefix, key) => {
      const { first, end } = prefixRange(prefix)
      for (const candidate of [key, prefix + key]) {
        const encoded = bytes(candidate)
        const inside = !before(encoded, first) && (end.length === 0 || before(encoded, end))
        const begins = Buffer.from(encoded.subarray(0, first.length)).equals(Buffer.from(first))
        expect(inside).toBe(begins)
      }
    }),
  )
})

test("examples", () => {
  expect(prefixRange("/a/")).toEqual({ first: bytes("/a/"), end: bytes("/a0") })
  expect(prefixRange("")).toEqual({ first: bytes(""), end: bytes("") })
})
