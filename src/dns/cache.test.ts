import { expect, test } from "bun:test"
import fc from "fast-check"
import { AnswerCache } from "./cache.ts"
import type { CheckedMessage } from "./message.ts"

function message(ttlSeconds: number, more: Partial<CheckedMessage> = {}): CheckedMessage {
  const bytes = new Uint8Array(100)
  return { bytes, rcode: 0, isTruncated: false, counts: [1, 0, 0], ttls: [], ttlSeconds, ...more }
}

test("an answer is kept as long as it may, and no longer", () => {
  let now = 5000
  const cache = new AnswerCache(() => now)
  cache.put("a", message(10))
  cache.put("none", message(0))
  now += 9999
  expect(cache.get("a")?.age).toBe(9)
  expect(cache.get("none")).toBeUndefined()
  now += 1
  expect(cache.get("a")).toBeUndefined()
  expect([cache.size, cache.bytes]).toEqual([0, 0])
})

test("long TTLs are cut, those of absence shorter", () => {
  let now = 0
  const cache = new AnswerCache(() => now, { maxTtlSeconds: 100, maxNegativeTtlSeconds: 10 })
  cache.put("a", message(1e9))
  cache.put("b", message(1e9, { counts: [0, 1, 0] }))
  now = 10_000
  expect([cache.get("a") !== undefined, cache.get("b") !== undefined]).toEqual([true, false])
  now = 100_000
  expect(cache.get("a")).toBeUndefined()
})

test("what was unused for longest goes first", () => {
  const cache = new AnswerCache(() => 0, { maxEntries: 2 })
  cache.put("a", message(9))
  cache.put("b", message(9))
  cache.get("a")
  cache.put("c", message(9))
  expect(["a", "b", "c"].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true])
})

test("limits hold, and bytes are those of what is kept, whatever happens", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c", "d", "e"),
    length: fc.nat(2000),
    ttl: fc.nat(5),
    wait: fc.nat(3000),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let now = 0
      const cache = new AnswerCache(() => now, { maxEntries: 3, maxBytes: 4000 })
      for (const { key, length, ttl, wait } of steps) {
        now += wait
        cache.get(key)
        cache.put(key, message(ttl, { bytes: new Uint8Array(length) }))
        expect(cache.size).toBeLessThanOrEqual(3)
        expect(cache.bytes).toBeLessThanOrEqual(4000)
      }
      now += 10_000
      for (const key of ["a", "b", "c", "d", "e"]) cache.get(key)
      expect([cache.size, cache.bytes]).toEqual([0, 0])
    }),
  )
})

test("what is kept comes out as it went in, after any number of others", () => {
  const text = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  })
  const kept = fc.record({
    bytes: fc.uint8Array({ maxLength: 300 }),
    rcode: fc.constantFrom(0, 3),
    isTruncated: fc.constant(false),
    counts: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(9), fc.nat(9)),
    ttls: fc.array(fc.nat(65_535), { maxLength: 9 }),
    ttlSeconds: fc.integer({ min: 1, max: 99_999 }),
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(text, kept), { maxLength: 30 }), (entries) => {
      const cache = new AnswerCache(() => 7)
      for (const [key, one] of entries) cache.put(key, one)
      for (const [key, one] of new Map(entries)) {
        expect(cache.get(key)).toEqual({ message: one, age: 0 })
      }
    }),
  )
})

test("keys of one hash are never taken for each other", () => {
  const cache = new AnswerCache(() => 0)
  // FNV-1a of both is 0x5e4daa9d.
  cache.put("costarring", message(9, { rcode: 3 }))
  expect(cache.get("liquid")).toBeUndefined()
  cache.put("liquid", message(9))
  expect(cache.get("liquid")?.message.rcode).toBe(0)
  expect(cache.get("costarring")).toBeUndefined()
  expect(cache.size).toBe(1)
})
