import { expect, test } from "bun:test"
import { deeperThan, isObject, parseJson } from "./json.ts"

test("only objects are objects", () => {
  expect([{}, { a: 1 }].every(isObject)).toBe(true)
  expect([null, undefined, [], "{}", 1, true].some(isObject)).toBe(false)
})

test("what is no JSON gives undefined, which JSON cannot say", () => {
  expect(parseJson("null")).toBeNull()
  expect(parseJson("{")).toBeUndefined()
  expect(parseJson("")).toBeUndefined()
})

test("depth counts lists and objects alike", () => {
  expect(deeperThan(1, 0)).toBe(false)
  expect(deeperThan([], 0)).toBe(true)
  expect(deeperThan({ a: [1] }, 2)).toBe(false)
  expect(deeperThan({ a: [1], b: { c: {} } }, 2)).toBe(true)
})
