import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { closest, editDistance } from "./edit_distance.ts"

describe("editDistance", () => {
  test.each([
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["mtu", "mut", 1],
    ["bridge", "bride", 1],
    ["bridge", "bridges", 1],
  ])("%p to %p is %p", (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance)
  })

  test("is a symmetric distance within its bounds", () => {
    const word = fc.string({ maxLength: 12 })
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b)
        expect(distance).toBe(editDistance(b, a))
        expect(distance === 0).toBe(a === b)
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length))
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length))
      }),
    )
  })

  test("one deletion is one step", () => {
    const word = fc.string({ minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(word, fc.nat(), (a, at) => {
        const i = at % a.length
        expect(editDistance(a, a.slice(0, i) + a.slice(i + 1))).toBe(1)
      }),
    )
  })
})

describe("closest", () => {
  const keys = ["network_address", "start_address", "end_address", "gateway", "mtu", "bridge"]

  test.each([
    ["network_adress", "network_address"],
    ["networkAddress", "network_address"],
    ["end-address", "end_address"],
    ["gatway", "gateway"],
    ["GATEWAY", "gateway"],
    ["mut", "mtu"],
  ])("%p means %p", (word, meant) => {
    expect(closest(word, keys)).toBe(meant)
  })

  test.each(["", "x", "image", "environment", "x".repeat(10_000)])(
    "%p means none of them",
    (word) => {
      expect(closest(word, keys)).toBeUndefined()
    },
  )
})
