import { afterEach, describe, expect, test } from "bun:test"
import fc from "fast-check"
import { ReferenceBitmap } from "../../test/reference/bitmap.ts"
import { LariatError } from "../errors.ts"
import { Bitmap } from "./bitmap.ts"
import { wasmCore } from "./wasm.ts"

/** A flag per index and a walk: slow, and right by inspection. */
class Naive {
  readonly size: number
  readonly flags: Uint8Array
  constructor(size: number) {
    this.size = size
    this.flags = new Uint8Array(size)
  }
  get used(): number {
    return this.flags.reduce((sum, flag) => sum + flag, 0)
  }
  has(index: number): boolean {
    return this.flags[index] === 1
  }
  allocate(hint: number): number {
    const start = Number.isInteger(hint) && hint >= 0 && hint < this.size ? hint : 0
    for (let i = 0; i < this.size; i++) {
      const index = (start + i) % this.size
      if (this.take(index)) return index
    }
    return -1
  }
  take(index: number): boolean {
    if (this.flags[index] !== 0) return false
    this.flags[index] = 1
    return true
  }
  free(index: number): boolean {
    if (this.flags[index] !== 1) return false
    this.flags[index] = 0
    return true
  }
}

/** Uses `n` indices, each after the one before; fewer where no more are free. */
function fill(map: Pick<Bitmap, "allocate">, n: number, hint = 0): number[] {
  const result: number[] = []
  for (let from = hint; result.length < n; from = (result.at(-1) ?? 0) + 1) {
    const index = map.allocate(from)
    if (index < 0) break
    result.push(index)
  }
  return result
}

const open: Bitmap[] = []
function create(size: number): Bitmap {
  const bitmap = Bitmap.create(size)
  open.push(bitmap)
  return bitmap
}
afterEach(() => {
  for (const bitmap of open.splice(0)) bitmap.close()
})

/** Around the borders of a word, of a word of words and of three levels, and any size between. */
const BORDERS = [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097]
const size = fc.oneof(fc.constantFrom(...BORDERS), fc.integer({ min: 1, max: 9000 }))

type Step = { op: "allocate" | "take" | "free" | "has"; at: number }

/** Where to look: fractions of the pool, borders of words, and values that are no index at all. */
const place = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: 0, max: 1.02, noNaN: true }) },
  { weight: 2, arbitrary: fc.constantFrom(-1, -65, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 32 + 1) },
  { weight: 1, arbitrary: fc.constantFrom(Number.NaN, 0.5, 1.5, Infinity, -Infinity, 1e300) },
)
const step: fc.Arbitrary<Step> = fc.record({
  op: fc.constantFrom("allocate", "take", "free", "has"),
  at: place,
})

/** A fraction becomes an index of this pool, often one beside a word border; others stay. */
function indexFor(at: number, pool: number): number {
  if (!(at >= 0 && at <= 1.02) || at === 0.5) return at
  const index = Math.trunc(at * pool)
  return index % 3 === 0 ? index & ~63 : index
}

function run(
  bitmap: Bitmap,
  twin: { [K in "has" | "allocate" | "take" | "free"]: Bitmap[K] } & {
    readonly used: number
  },
  steps: readonly Step[],
): void {
  for (const one of steps) {
    const at = indexFor(one.at, bitmap.size)
    expect(bitmap[one.op](at)).toBe(twin[one.op](at))
    expect(bitmap.used).toBe(twin.used)
  }
}

describe("against a naive map and the TypeScript twin", () => {
  test("any operations on any pool give the same answers", () => {
    fc.assert(
      fc.property(size, fc.array(step, { maxLength: 60 }), (pool, steps) => {
        const bitmap = Bitmap.create(pool)
        run(bitmap, new Naive(pool), steps)
        bitmap.close()
        const again = Bitmap.create(pool)
        run(again, new ReferenceBitmap(pool), steps)
        again.close()
      }),
      { numRuns: 400 },
    )
  })

  test.each([64 ** 3 - 1, 64 ** 3, 64 ** 3 + 1])("a pool of %d, nearly full", (pool) => {
    const bitmap = create(pool)
    const twin = new ReferenceBitmap(pool)
    expect(fill(bitmap, pool).length).toBe(pool)
    fill(twin, pool)
    expect(bitmap.allocate(0)).toBe(-1)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        run(bitmap, twin, steps)
      }),
      { numRuns: 100 },
    )
  })

  test("a /8: full, and each free index far from the hint is found", () => {
    const pool = 2 ** 24
    const bitmap = create(pool)
    const twin = new ReferenceBitmap(pool)
    const all = fill(bitmap, pool, 4097)
    expect(all.length).toBe(pool)
    expect([all[0], all.at(-1), bitmap.used]).toEqual([4097, 4096, pool])
    fill(twin, pool)
    const borders = [0, 63, 64, 4095, 4096, 2 ** 18 - 1, 2 ** 18, 2 ** 23, pool - 1]
    for (const freed of borders) {
      for (const hint of borders) {
        expect(bitmap.free(freed)).toBe(true)
        expect(bitmap.free(freed)).toBe(false)
        expect(bitmap.allocate(hint)).toBe(freed)
        expect(bitmap.allocate(hint)).toBe(-1)
      }
    }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        run(bitmap, twin, steps)
      }),
      { numRuns: 100 },
    )
  })
})

describe("next fit", () => {
  test("every index of a pool comes once before any comes again", () => {
    const bitmap = create(5000)
    const seen = new Set<number>()
    let cursor = 1234
    for (let i = 0; i < 5000; i++) {
      const index = bitmap.allocate(cursor)
      expect(index).toBe((1234 + i) % 5000)
      seen.add(index)
      cursor = index + 1
    }
    expect(seen.size).toBe(5000)
    expect(bitmap.allocate(cursor)).toBe(-1)
  })

  test("goes on from the start of the pool, and ends when it is used", () => {
    const bitmap = create(3000)
    bitmap.take(2999)
    bitmap.take(0)
    const all = fill(bitmap, 5000, 2900)
    expect(all.length).toBe(2998)
    expect([all[0], all[98], all[99], all.at(-1)]).toEqual([2900, 2998, 1, 2899])
  })
})

describe("life", () => {
  test.each([0, -1, 2 ** 24 + 1, 1.5, Number.NaN, Infinity])("refuses a pool of %d", (pool) => {
    expect(() => Bitmap.create(pool)).toThrow(LariatError)
  })

  test("maps do not see each other, and a reused region starts empty", () => {
    const first = create(4097)
    const second = create(4097)
    fill(first, 4097)
    expect([first.used, second.used]).toEqual([4097, 0])
    first.close()
    const third = create(4097)
    expect(third.used).toBe(0)
    expect(third.allocate(5)).toBe(5)
    expect(second.used).toBe(0)
  })

  test("a closed map throws and harms no other", () => {
    const closed = Bitmap.create(100)
    closed.close()
    closed.close()
    const heir = create(100)
    heir.take(5)
    const uses: (() => unknown)[] = [
      () => closed.used,
      () => closed.has(5),
      () => closed.allocate(0),
      () => closed.take(6),
      () => closed.free(5),
    ]
    for (const use of uses) expect(use).toThrow("it is closed")
    expect([heir.used, heir.has(5)]).toEqual([1, true])
  })

  test("opening and closing does not grow the memory without end", () => {
    const cycle = (): void => Bitmap.create(2 ** 20).close()
    cycle()
    const before = wasmCore().memory.buffer.byteLength
    for (let i = 0; i < 50; i++) cycle()
    expect(wasmCore().memory.buffer.byteLength).toBe(before)
  })
})
