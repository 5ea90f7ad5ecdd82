import { expect, test } from "bun:test"
import type { Kernel } from "../endpoint/kernel.ts"
import { Underlay } from "./underlay.ts"

test("the MTU is looked up once until it is forgotten", () => {
  const answers = [1500, 1420]
  const underlay = new Underlay({} as Kernel, { measure: () => answers.shift() ?? 0 })
  expect([underlay.mtu, underlay.mtu]).toEqual([1500, 1500])
  underlay.forget()
  expect(underlay.mtu).toBe(1420)
})
