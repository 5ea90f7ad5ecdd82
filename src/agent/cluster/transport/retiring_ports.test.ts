import { expect, test } from "bun:test"
import { RetiringPorts } from "./retiring_ports.ts"

test("a port that is named no more stays for a while, and then until nobody uses it", () => {
  const ports = new RetiringPorts()
  expect(ports.nextMs).toBe(Number.POSITIVE_INFINITY)
  ports.change([4500], new Set([4501]), 0)
  expect(ports.all).toEqual([4500])
  expect(ports.release(29_999, () => false)).toBe(false)
  expect(ports.release(30_000, () => true)).toBe(false)
  expect(ports.nextMs).toBe(31_000)
  expect(ports.release(31_000, (port) => port !== 4500)).toBe(true)
  expect(ports.all).toEqual([])
})

test("one that is named again is no longer retiring", () => {
  const ports = new RetiringPorts()
  ports.change([4500], new Set(), 0)
  ports.change([], new Set([4500]), 10)
  expect(ports.all).toEqual([])
  expect(ports.release(60_000, () => false)).toBe(false)
})
