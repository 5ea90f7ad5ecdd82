import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { Quarantine } from "./rest_queue.ts"

describe("Quarantine", () => {
  test("is a queue whose members can leave from the middle", () => {
    const queue = new Quarantine()
    queue.push(7, 100)
    queue.push(8, 110)
    queue.push(9, 120)
    expect(queue.delete(8)).toBe(true)
    expect(queue.delete(8)).toBe(false)
    expect([...queue.entries()].map((entry) => entry.offset)).toEqual([7, 9])
    queue.delete(7)
    expect(queue.peek()).toEqual({ offset: 9, until: 120 })
    queue.push(8, 130)
    expect(queue.size).toBe(2)
    expect(queue.has(7)).toBe(false)
    expect([...queue.entries()].map((entry) => entry.offset)).toEqual([9, 8])
  })

  test("behaves as a list that is searched", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("push"), offset: fc.nat(200) }),
      fc.record({ do: fc.constant("delete"), offset: fc.nat(200) }),
      fc.record({ do: fc.constant("shift"), offset: fc.constant(0) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
        const queue = new Quarantine()
        let list: { offset: number; until: number }[] = []
        for (const [until, { do: what, offset }] of steps.entries()) {
          if (what === "push" && !queue.has(offset)) {
            queue.push(offset, until)
            list.push({ offset, until })
          } else if (what === "delete") {
            const there = list.some((entry) => entry.offset === offset)
            expect(queue.delete(offset)).toBe(there)
            list = list.filter((entry) => entry.offset !== offset)
          } else if (what === "shift") {
            const oldest = queue.peek()
            expect(oldest).toEqual(list.shift())
            if (oldest !== undefined) queue.delete(oldest.offset)
          }
          expect(queue.size).toBe(list.length)
        }
        expect([...queue.entries()]).toEqual(list)
      }),
      { numRuns: 50 },
    )
  })
})
