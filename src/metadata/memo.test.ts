import { expect, test } from "bun:test"
import { Memo } from "./memo.ts"

test("a value is made once for a record and its inputs", () => {
  const memo = new Memo<object, number>()
  const [record, part] = [{}, {}]
  let made = 0
  const get = (inputs: readonly unknown[], key: object = record) =>
    memo.get(key, inputs, () => ++made)
  expect(get([part, 1])).toBe(1)
  expect(get([part, 1])).toBe(1)
  expect(get([{}, 1])).toBe(2)
  expect(get([part])).toBe(3)
  expect(get([])).toBe(4)
  expect(get([], {})).toBe(5)
})

test("only the last value is kept", () => {
  const memo = new Memo<object, number>()
  const record = {}
  let made = 0
  for (const part of [1, 2, 1]) memo.get(record, [part], () => ++made)
  expect(made).toBe(3)
})

test("what a maker throws is not kept", () => {
  const memo = new Memo<object, number>()
  const record = {}
  const fail = () => {
    throw new Error("no")
  }
  expect(() => memo.get(record, [], fail)).toThrow("no")
  expect(memo.get(record, [], () => 7)).toBe(7)
})
