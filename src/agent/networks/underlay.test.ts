import { expect, test } from "bun:test"
import type { Kernel } from "../../endpoint/kernel.ts"
import { Underlay } from "./underlay.ts"

test("the MTU is looked up again when its route or its link changed, and only then", () => {
  const answers = [1500, 1420, 1400].map((mtu) => ({ mtu, index: 7 }))
  const none = { mtu: 0, index: 0 }
  const underlay = new Underlay({} as Kernel, { measure: () => answers.shift() ?? none })
  expect([underlay.mtu, underlay.mtu]).toEqual([1500, 1500])
  underlay.linkChanged(8)
  expect(underlay.mtu).toBe(1500)
  underlay.linkChanged(7)
  expect(underlay.mtu).toBe(1420)
  underlay.forget()
  expect(underlay.mtu).toBe(1400)
})
