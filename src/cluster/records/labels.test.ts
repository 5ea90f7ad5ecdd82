import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import * as z from "zod/mini"
import { fitLabels, labels, MAX_LABEL_BYTES, MAX_LABELS } from "./labels.ts"
import { bodyReader } from "./record_body.ts"

const reader = bodyReader("endpoint", z.object({ labels }))
const read = (some: unknown) => reader({ labels: some }).labels

describe("labels that go through the store", () => {
  test("are all there where they fit, whatever they are called", () => {
    const some = JSON.parse('{"b":"2","a":"1","__proto__":"x","constructor":""}')
    expect(read(fitLabels(some))).toEqual(some)
  })

  test("always fit what a reader takes, and none is changed", () => {
    const label = fc.tuple(
      fc.string({ maxLength: 300 }),
      fc.oneof(
        fc.string(),
        fc.nat(9000).map((length) => "€".repeat(length)),
      ),
    )
    fc.assert(
      fc.property(fc.array(label, { maxLength: 40 }), (entries) => {
        const some = Object.fromEntries(entries)
        const fitting = fitLabels(some)
        expect(read(fitting)).toEqual(fitting)
        expect(Buffer.byteLength(JSON.stringify(fitting))).toBeLessThanOrEqual(MAX_LABEL_BYTES)
        for (const [key, value] of Object.entries(fitting)) expect(some[key]).toBe(value)
      }),
      { numRuns: 50 },
    )
  })

  test("are the first ones where they are too many, and a long one costs no other its place", () => {
    const many = Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`k${1000 + n}`, "v"]))
    expect(Object.keys(fitLabels({ ...many, a: "x".repeat(9000) }))).toEqual(
      Object.keys(many).slice(0, MAX_LABELS),
    )
  })

  test.each([
    ["x"],
    [null],
    [[]],
    [{ a: 1 }],
    [{ a: "x".repeat(8193) }],
    [{ ["k".repeat(257)]: "" }],
    [Object.fromEntries(Array.from({ length: 257 }, (_, n) => [n, ""]))],
  ])("%#: what is none is refused", (some) => {
    expect(() => read(some)).toThrow("Cannot take the endpoint: labels")
  })
})
