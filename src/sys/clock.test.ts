import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { bootId, monotonicMs } from "./clock.ts"

test("the clock is the kernel's time since boot and never goes back", () => {
  const before = monotonicMs()
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000
  const after = monotonicMs()
  expect(after).toBeGreaterThanOrEqual(before)
  // /proc/uptime counts in hundredths of a second.
  expect(uptime).toBeGreaterThanOrEqual(before - 20)
  expect(uptime).toBeLessThanOrEqual(after)
})

test("the boot id is the kernel's", () => {
  expect(bootId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  expect(bootId()).toBe(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim())
})
