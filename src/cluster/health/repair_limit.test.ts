import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { BURST, REFILL_MS, RepairLimit } from "./repair_limit.ts"

const ROUND_MS = 10_000
/** With `random` at 0 all waits are as short as they may be. */
const LEAST_MS = 30_000

describe("one peer", () => {
  test("waits twice as long each time, up to the longest", () => {
    const limit = new RepairLimit(() => 0)
    const granted: number[] = []
    for (let now = 0; now < 7_500_000; now += 1000) {
      if (limit.ask("a", "rotate-keys", now)) granted.push(now / 1000)
    }
    expect(granted).toEqual([0, 30, 90, 210, 450, 930, 1890, 3690, 5490, 7290])
  })

  test("that is well for a while begins anew, one that flaps does not", () => {
    const limit = new RepairLimit(() => 0)
    expect(limit.ask("a", "rotate-keys", 0)).toBe(true)
    limit.rest("a", 10_000)
    expect(limit.ask("a", "rotate-keys", 29_999)).toBe(false)
    expect(limit.ask("a", "rotate-keys", 30_000)).toBe(true)
    limit.rest("a", 40_000)
    limit.rest("a", 100_000)
    expect(limit.ask("a", "rotate-keys", 639_999)).toBe(true)
    limit.rest("a", 640_000)
    limit.rest("a", 1_240_000)
    expect(limit.ask("a", "rotate-keys", 1_240_000)).toBe(true)
    expect(limit.ask("a", "rotate-keys", 1_269_999)).toBe(false)
    expect(limit.ask("a", "rotate-keys", 1_270_000)).toBe(true)
  })

  test("asks for nothing and gets nothing", () => {
    expect(new RepairLimit(() => 0).ask("a", "none", 0)).toBe(false)
  })

  test("that is forgotten begins anew", () => {
    const limit = new RepairLimit(() => 1)
    expect(limit.ask("a", "reinstall", 0)).toBe(true)
    expect(limit.ask("a", "reinstall", 1)).toBe(false)
    limit.forget("a")
    expect(limit.ask("a", "reinstall", 2)).toBe(true)
  })
})

test("a thousand peers that all go down make no storm, and each has its turn", () => {
  const limit = new RepairLimit(() => 0.5)
  const granted = new Map<string, number>()
  const wanted = Array.from({ length: 1000 }, (_, index) => ({
    peer: `peer${index}`,
    repair: "rotate-keys" as const,
  }))
  const rounds = 1600
  let total = 0
  for (let round = 0; round < rounds; round++) {
    for (const { peer } of limit.askAll(wanted, round * ROUND_MS)) {
      granted.set(peer, (granted.get(peer) ?? 0) + 1)
      total++
    }
  }
  expect(total).toBeLessThanOrEqual(BURST + (rounds * ROUND_MS) / REFILL_MS)
  expect(granted.size).toBe(1000)
})

test("never more than the allowance in any span of time, whoever asks for what, and when", () => {
  const step = fc.record({
    peer: fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h"),
    rest: fc.boolean(),
    forget: fc.boolean(),
    afterMs: fc.integer({ min: 0, max: 20_000 }),
  })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (steps, random) => {
        const limit = new RepairLimit(() => random.next().value ?? 0)
        const times: number[] = []
        const lastOf = new Map<string, number>()
        let now = 0
        for (const { peer, rest, forget, afterMs } of steps) {
          now += afterMs
          if (forget) {
            limit.forget(peer)
            lastOf.delete(peer)
          } else if (rest) limit.rest(peer, now)
          else if (limit.ask(peer, "rotate-keys", now)) {
            times.push(now)
            const last = lastOf.get(peer)
            if (last !== undefined) expect(now - last).toBeGreaterThanOrEqual(LEAST_MS)
            lastOf.set(peer, now)
          }
        }
        for (const [first, start] of times.entries()) {
          for (const [last, end] of times.entries()) {
            const allowed = BURST + (end - start) / REFILL_MS
            if (last >= first) expect(last - first + 1).toBeLessThanOrEqual(allowed + 1e-9)
          }
        }
      },
    ),
  )
})
