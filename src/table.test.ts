import { expect, test } from "bun:test"
import { table } from "./table.ts"

test("columns are as wide as their widest cell, without trailing spaces", () => {
  expect(table([["a", "long"], ["bbb", "x"], ["c"]])).toBe("a    long\nbbb  x\nc")
})

test("columns may be aligned to the right, lines indented", () => {
  expect(
    table(
      [
        ["a", "1"],
        ["b", "10"],
      ],
      { right: [1], indent: 2 },
    ),
  ).toBe("  a   1\n  b  10")
})
