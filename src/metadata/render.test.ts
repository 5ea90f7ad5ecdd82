import { expect, test } from "bun:test"
import { renderJson, renderText } from "./render.ts"

test("scalars are raw, null is empty", () => {
  expect(renderText("a b")).toBe("a b")
  expect(renderText(2.5)).toBe("2.5")
  expect(renderText(true)).toBe("true")
  expect(renderText(null)).toBe("")
})

test("a map lists its sorted, escaped keys and marks what can be entered", () => {
  const map = { foo: {}, b: 1, l: [], nul: null, "with/slash": "x", "with space": "y" }
  expect(renderText(map)).toBe("b\nfoo/\nl/\nnul\nwith%2Fslash\nwith+space\n")
})

test("a list shows names where elements have them", () => {
  expect(renderText([1, 2.5, { name: "item" }, ["x"], null])).toBe("0\n1\n2=item\n3/\n4\n")
  expect(renderText([{ uuid: "u" }, { x: 1 }])).toBe("0=u\n1/\n")
})

test("JSON has sorted keys at every depth and no raw HTML characters", () => {
  expect(renderJson({ b: "<a&b>", a: [{ d: 1, c: null }] })).toBe(
    '{"a":[{"c":null,"d":1}],"b":"\\u003ca\\u0026b\\u003e"}',
  )
})
