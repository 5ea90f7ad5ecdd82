import { expect, test } from "bun:test"
import { isDeno, runtimeName } from "./runtime.ts"

test("the tests run under Bun and the runtime says so", () => {
  expect(isDeno).toBe(false)
  expect(runtimeName()).toBe(`bun ${Bun.version}`)
})
