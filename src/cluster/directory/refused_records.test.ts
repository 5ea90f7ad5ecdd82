import { expect, test } from "bun:test"
import { type PlacedChange, RefusedRecords } from "./refused_records.ts"

function change(key: string, value = "x"): PlacedChange {
  return { key, value, revision: 1, parsed: { kind: "block", network: "n", block: key } }
}

test("records are found by key, host and kind, and keep their time for the same host", () => {
  const records = new RefusedRecords()
  records.put(change("a"), "h1", 10)
  records.put(change("b"), "h1", 20)
  records.put(change("a"), "h1", 30)
  expect(records.get("a")?.since).toBe(10)
  records.postpone(5)
  expect(records.of("h1").map(({ change: { key }, since }) => [key, since])).toEqual([
    ["b", 25],
    ["a", 15],
  ])
  records.put(change("a"), "h2", 40)
  expect(records.get("a")?.since).toBe(40)
  expect(records.of("h1").map(({ change: { key } }) => key)).toEqual(["b"])
  expect(records.ofKind("block")).toHaveLength(2)
  expect(records.ofKind("endpoint")).toEqual([])
  records.delete("a")
  records.delete("a")
  expect(records.of("h2")).toEqual([])
  expect(records.ofKind("block")).toHaveLength(1)
})

test("what one host can make others keep is bounded, and so is what all can", () => {
  const records = new RefusedRecords()
  for (let n = 0; n < 1000; n++) records.put(change(`a${n}`), "h1", 0)
  expect(records.ofKind("block")).toHaveLength(512)
  records.put(change("b"), "h2", 0)
  expect(records.get("b")).toBeDefined()
  const long = "x".repeat(64 * 1024)
  for (let n = 0; n < 1000; n++) records.put(change(`c${n}`, long), `x${n}`, 0)
  const characters = records
    .ofKind("block")
    .reduce((sum, one) => sum + one.change.key.length + (one.change.value?.length ?? 0), 0)
  expect(characters).toBeLessThanOrEqual(8 * 1024 * 1024)
  expect(characters).toBeGreaterThan(7 * 1024 * 1024)
  // What leaves makes room.
  records.delete("a0")
  records.put(change("a999"), "h1", 0)
  expect(records.get("a999")).toBeDefined()
})
