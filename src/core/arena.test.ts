import { expect, test } from "bun:test"
import fc from "fast-check"
import { Arena } from "./arena.ts"

test("regions in use never overlap, lie in the grown memory, and all come back", () => {
  const step = fc.oneof(
    fc.record({ claim: fc.integer({ min: 1, max: 5000 }) }),
    fc.record({ release: fc.nat(100) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let grown = 100
      const arena = new Arena(100, (end) => {
        expect(end).toBeGreaterThan(0)
        grown = Math.max(grown, end)
      })
      const start = arena.end
      const inUse: { base: number; bytes: number }[] = []
      for (const one of steps) {
        if ("claim" in one) {
          const base = arena.claim(one.claim)
          expect(base % 64).toBe(0)
          expect(base).toBeGreaterThanOrEqual(start)
          expect(base + one.claim).toBeLessThanOrEqual(grown)
          for (const other of inUse) {
            const apart = base + one.claim <= other.base || other.base + other.bytes <= base
            expect(apart).toBe(true)
          }
          inUse.push({ base, bytes: one.claim })
        } else {
          const [gone] = inUse.splice(one.release % (inUse.length || 1), 1)
          if (gone !== undefined) arena.release(gone.base, gone.bytes)
        }
      }
      for (const { base, bytes } of inUse) arena.release(base, bytes)
      expect(arena.end).toBe(start)
    }),
  )
})

test("a freed region is used again before memory grows", () => {
  const arena = new Arena(0, () => {})
  const first = arena.claim(640)
  arena.claim(64)
  const end = arena.end
  arena.release(first, 640)
  expect([arena.claim(320), arena.claim(320)]).toEqual([first, first + 320])
  expect(arena.end).toBe(end)
})

test("nothing changes where memory cannot grow", () => {
  const arena = new Arena(0, () => {
    throw new RangeError("no memory")
  })
  expect(() => arena.claim(64)).toThrow(RangeError)
  expect(arena.end).toBe(0)
})
