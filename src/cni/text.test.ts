import { expect, test } from "bun:test"
import { oneLine, shown } from "./text.ts"

test.each([
  ['"eth0"', "eth0"],
  ['"a\\"b"', 'a"b'],
  ["17", 17],
  ["null", null],
  ["undefined", undefined],
  ["a list", [1]],
  ["an object", { a: 1 }],
])("a value is shown as %s", (text, value) => {
  expect(shown(value)).toBe(text)
})

test("a long value is cut, and not through a character", () => {
  expect(shown("x".repeat(1000))).toBe(`"${"x".repeat(64)}…"`)
  expect(shown(`${"x".repeat(63)}😀${"y".repeat(9)}`)).toBe(`"${"x".repeat(63)}…"`)
})

test("a line has no line ends and no control characters", () => {
  expect(oneLine(" a\nb\r\n\tc\u0000d\u0085e\u2028f ")).toBe("a b c d e f")
})
