import { expect, test } from "bun:test"
import type { Cipher } from "../../core/encapsulation.ts"
import { type LinkMtuInput, linkMtu } from "./link_mtu.ts"

const seed: LinkMtuInput = {
  mtu: 0,
  overhead: 98,
  driver: "ipsec",
  underlay: 1500,
  ipv6: false,
}

test("an explicit overhead is obeyed, and what it wastes is said with the figure", () => {
  const { mtu, exact, advice } = linkMtu(seed)
  expect(mtu).toBe(1402)
  expect(exact).toBe(1446)
  expect(advice).toContain("44 bytes of each packet are wasted")
})

test("auto is exact and has no advice", () => {
  expect(linkMtu({ ...seed, overhead: "auto" })).toEqual({
    mtu: 1446,
    exact: 1446,
    advice: undefined,
  })
  expect(linkMtu({ ...seed, overhead: "auto", driver: "vxlan", underlay: 9000 }).mtu).toBe(8950)
  expect(linkMtu({ ...seed, overhead: "auto", driver: "none", underlay: 1420 }).mtu).toBe(1420)
})

test("an explicit mtu is the outer one", () => {
  expect(linkMtu({ ...seed, mtu: 1450 }).mtu).toBe(1352)
  expect(linkMtu({ ...seed, mtu: 1400, overhead: "auto", driver: "none" }).mtu).toBe(1400)
})

test("values that cannot fit are named", () => {
  expect(linkMtu({ ...seed, overhead: 20 }).advice).toContain("must be at least 54")
  expect(linkMtu({ ...seed, mtu: 9000 }).advice).toContain("more than the 1500 bytes")
})

test("an MTU below what a family needs is refused", () => {
  expect(() => linkMtu({ ...seed, overhead: 1480 })).toThrow("leave 20, and IPv4 needs 68")
  expect(() => linkMtu({ ...seed, overhead: 300, ipv6: true })).toThrow("IPv6 needs 1280")
  expect(linkMtu({ ...seed, overhead: 300 }).mtu).toBe(1200)
})

test("cipher, UDP and the outer family count", () => {
  const auto = { ...seed, overhead: "auto" } as const
  const mtuOf = (cipher: Cipher, udp: "none" | "udp" | "auto", outerFamily: 4 | 6) =>
    linkMtu({ ...auto, encapsulation: { cipher, udp }, outerFamily }).mtu
  expect(mtuOf("aes256gcm16", "none", 4)).toBe(1446)
  expect(mtuOf("aes256gcm16", "auto", 4)).toBe(1438)
  expect(mtuOf("aes128-sha256", "udp", 6)).toBe(1406)
  expect(linkMtu({ ...auto, driver: "vxlan", outerFamily: 6 }).mtu).toBe(1430)
})
