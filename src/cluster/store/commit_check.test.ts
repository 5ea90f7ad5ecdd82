import { expect, test } from "bun:test"
import { checkCommit, MAX_COMMIT_BYTES, MAX_OPERATIONS } from "./commit_check.ts"

const writes = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ key: `${n}`, value: "" }))

test("as many writes as a store takes, and not one more", () => {
  checkCommit([], writes(MAX_OPERATIONS))
  expect(() => checkCommit([], writes(MAX_OPERATIONS + 1))).toThrow("at most 128")
})

test("conditions are counted for themselves", () => {
  const conditions = writes(MAX_OPERATIONS + 1).map(({ key }) => ({ key, revision: 0 }))
  checkCommit(conditions.slice(1), writes(MAX_OPERATIONS))
  expect(() => checkCommit(conditions, [])).toThrow("129 conditions")
})

test("bytes are counted as UTF-8", () => {
  const fits = "x".repeat(MAX_COMMIT_BYTES - 1)
  checkCommit([], [{ key: "k", value: fits }])
  expect(() => checkCommit([], [{ key: "k", value: `${fits}x` }])).toThrow("bytes")
  const euros = "€".repeat(Math.ceil(MAX_COMMIT_BYTES / 3))
  expect(() => checkCommit([], [{ key: "k", value: euros }])).toThrow("bytes")
})

test("a deletion is a write: not twice the same key", () => {
  const twice = [
    { key: "k", value: "1" },
    { key: "k", value: undefined },
  ]
  expect(() => checkCommit([], twice)).toThrow("k is written twice")
})
