import { describe, expect, test } from "bun:test"
import * as z from "zod/mini"
import { validate } from "./validate.ts"
import { flag, list, optional, section, text, wholeNumber } from "./value_schema.ts"

const schema = section({
  name: text,
  Size: optional(wholeNumber(1, 9)),
  items: optional(list(section({ key: text, on: optional(flag) }))),
  map: optional(z.record(z.string(), section({ key: text }))),
})

test("a good value comes out read, without a word", () => {
  const { value, problems } = validate(schema, { name: "n", Size: "3", items: [{ key: "k" }] })
  expect(value).toEqual({ name: "n", Size: 3, items: [{ key: "k" }] })
  expect(problems).toEqual([])
})

test("every error is told, with the full path and the value", () => {
  const { value, problems } = validate(
    schema,
    { Size: 10, items: [{ key: 5 }, "x"], map: { a: {} } },
    { under: ["root"] },
  )
  expect(value).toBeUndefined()
  expect(problems.map(({ message }) => message)).toEqual([
    "root.name is missing",
    "root.Size must be a whole number from 1 to 9, is 10",
    "root.items[0].key must be text, is 5",
    'root.items[1] must be a map, is "x"',
    "root.map.a.key is missing",
  ])
  expect(problems[2]?.path).toEqual(["root", "items", 0, "key"])
})

test("the value itself has a name", () => {
  expect(validate(schema, 5, { what: "thing" }).problems[0]?.message).toBe(
    "thing must be a map, is 5",
  )
  expect(validate(schema, 5).problems[0]?.message).toBe("it must be a map, is 5")
})

describe("unknown keys", () => {
  test("are warnings at any depth, and left out", () => {
    const raw = { nam: 1, name: "n", items: [{ key: "k", kye: 2 }], map: { a: { key: "k", x: 1 } } }
    const { value, problems } = validate(schema, raw)
    expect(value).toEqual({ name: "n", items: [{ key: "k" }], map: { a: { key: "k" } } })
    expect(problems.map(({ path, hint }) => [path.join("."), hint])).toEqual([
      ["nam", "did you mean name, which is there too and is used"],
      ["items.0.kye", "did you mean key, which is there too and is used"],
      ["map.a.x", undefined],
    ])
    // The value that was given is as it was.
    expect(raw.items[0]).toEqual({ key: "k", kye: 2 })
  })

  test("do not hide errors", () => {
    const { value, problems } = validate(schema, { x: 1, name: 5 })
    expect(value).toBeUndefined()
    expect(problems.map(({ severity }) => severity)).toEqual(["warning", "error"])
  })

  test("in another case are renamed where that is wanted, all the way down", () => {
    const raw = { NAME: "n", ITEMS: [{ KEY: "k", odd: 1 }] }
    const { value, problems } = validate(schema, raw, { foldCase: true })
    expect(value).toEqual({ name: "n", items: [{ key: "k" }] })
    expect(problems).toHaveLength(4)
    expect(validate(schema, raw).value).toBeUndefined()
  })

  test("are not renamed over a key that is there", () => {
    const { value } = validate(schema, { NAME: "a", name: "b" }, { foldCase: true })
    expect(value?.name).toBe("b")
  })
})

test("a value with very many faults is told of in part", () => {
  const many = Array.from({ length: 100_000 }, () => 5)
  const { problems } = validate(schema, { name: "n", items: many })
  expect(problems).toHaveLength(50)
})
