import { expect, test } from "bun:test"
import fc from "fast-check"
import { SizeSearch } from "./size_search.ts"

/** Rounds until done; each probe passes up to the path's size, unless it is lost. */
function run(
  search: SizeSearch,
  path: number,
  options: { lost?: () => boolean; hint?: number } = {},
) {
  const { lost = () => false, hint } = options
  let rounds = 0
  for (; !search.isDone && rounds < 50; rounds++) {
    const outcomes = search.sizes().map((bytes) => {
      const passed = bytes <= path && !lost()
      return { bytes, passed, mtu: passed ? undefined : hint }
    })
    search.observe(outcomes)
  }
  return rounds
}

const range = fc
  .record({ low: fc.integer({ min: 100, max: 1400 }), size: fc.integer({ min: 1, max: 8000 }) })
  .map(({ low, size }) => ({ low, high: low + size }))

test("finds the exact size of any path in few rounds", () => {
  fc.assert(
    fc.property(range, fc.double({ min: 0, max: 1, noNaN: true }), ({ low, high }, at) => {
      const path = low + Math.floor((high - low - 1) * at)
      const search = new SizeSearch(low, high)
      const rounds = run(search, path)
      expect(search.largest).toBe(path)
      // A range of n is left with n/8 rounded up twice: log8, and a round for what rounding leaves.
      expect(rounds).toBeLessThanOrEqual(Math.ceil(Math.log(high - low) / Math.log(8)) + 2)
    }),
  )
})

test("a hop that names its size saves rounds, one that lies does no harm", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 101, max: 1445 }),
      fc.integer({ min: 0, max: 3000 }),
      (path, lie) => {
        const honest = new SizeSearch(100, 1446)
        honest.observe([{ bytes: 1446, passed: false, mtu: path }])
        expect(run(honest, path, { hint: path })).toBe(1)
        expect(honest.largest).toBe(path)
        const misled = new SizeSearch(100, 1446)
        expect(run(misled, path, { hint: lie })).toBeLessThan(8)
        expect(misled.largest).toBe(path)
      },
    ),
  )
})

test("losses make the answer too small for a while, never too large, and it mends itself", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 101, max: 1445 }),
      fc.infiniteStream(fc.boolean()),
      (path, losses) => {
        const search = new SizeSearch(100, 1446)
        run(search, path, { lost: () => losses.next().value === true })
        expect(search.largest).toBeLessThanOrEqual(path)
        // No losses from here on: every mistake is found by probing one byte more.
        for (let round = 0; round < 12 && !(search.isDone && search.largest === path); round++) {
          search.observe(search.sizes().map((bytes) => ({ bytes, passed: bytes <= path })))
        }
        expect(search.largest).toBe(path)
        expect(search.isDone).toBe(true)
      },
    ),
  )
})

test("a path that becomes narrower, or wider, is searched again", () => {
  const search = new SizeSearch(100, 1446)
  run(search, 1400)
  const round = (path: number) =>
    search.observe(search.sizes().map((bytes) => ({ bytes, passed: bytes <= path })))
  round(1300)
  expect(search.largest).toBe(1400)
  round(1300)
  run(search, 1300)
  expect(search.largest).toBe(1300)
  round(1350)
  expect(search.isDone).toBe(false)
  run(search, 1350)
  expect(search.largest).toBe(1350)
})

test("asks for few sizes, each within the range and once, whatever it hears", () => {
  const outcome = fc.record({
    bytes: fc.integer({ min: 0, max: 2000 }),
    passed: fc.boolean(),
    mtu: fc.option(fc.integer({ min: -5, max: 3000 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(fc.array(outcome, { maxLength: 9 }), { maxLength: 20 }), (rounds) => {
      const search = new SizeSearch(100, 1446)
      for (const outcomes of rounds) {
        search.observe(outcomes)
        const sizes = search.sizes()
        expect(sizes.length).toBeLessThanOrEqual(9)
        expect(new Set(sizes).size).toBe(sizes.length)
        for (const bytes of sizes) {
          expect(bytes).toBeGreaterThanOrEqual(100)
          expect(bytes).toBeLessThan(1446)
        }
        if (!search.isDone) expect(sizes.length).toBeGreaterThan(0)
        expect(search.largest).toBeGreaterThanOrEqual(100)
        expect(search.largest).toBeLessThan(1446)
      }
    }),
  )
})
