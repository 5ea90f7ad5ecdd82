import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { fitLabels, labelsOf, MAX_LABEL_BYTES, MAX_LABELS } from "./labels.ts"
import { BodyReader } from "./record_body.ts"

const read = (labels: unknown) => labelsOf(new BodyReader("endpoint", { labels }), "labels")

describe("labels that go through the store", () => {
  test("are all there where they fit, whatever they are called", () => {
    const labels = JSON.parse('{"b":"2","a":"1","__proto__":"x","constructor":""}')
    expect(read(fitLabels(labels))).toEqual(labels)
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
        const labels = Object.fromEntries(entries)
        const fitting = fitLabels(labels)
        expect(read(fitting)).toEqual(fitting)
        expect(Buffer.byteLength(JSON.stringify(fitting))).toBeLessThanOrEqual(MAX_LABEL_BYTES)
        for (const [key, value] of Object.entries(fitting)) expect(labels[key]).toBe(value)
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
  ])("%#: what is none is refused", (labels) => {
    expect(() => read(labels)).toThrow("Cannot take the endpoint: labels")
  })
})
