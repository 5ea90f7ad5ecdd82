import { expect, test } from "bun:test"
import { pagesOfStart } from "./start_pages.ts"

test("a program that is not compiled has no file of its own", () => {
  expect(pagesOfStart()).toBeUndefined()
})
