import { expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { ipSocketAddress, unixSocketAddress } from "./socket_address.ts"

const hex = (bytes: Uint8Array) => bytes.toHex()

test("struct sockaddr_in and sockaddr_in6", () => {
  expect(hex(ipSocketAddress("10.42.0.1", 80).bytes)).toBe("020000500a2a00010000000000000000")
  expect(hex(ipSocketAddress("2001:db8::1", 53).bytes)).toBe(
    "0a0000350000000020010db800000000000000000000000100000000",
  )
})

test("what is no address is refused", () => {
  for (const text of ["", "10.42.0", "10.42.0.256", "host", "fe80::1%eth0", ":::"]) {
    expect(() => ipSocketAddress(text, 1)).toThrow(LariatError)
  }
})

test("struct sockaddr_un: a path ends in zero, an abstract name begins with one", () => {
  expect(hex(unixSocketAddress("/a").bytes)).toBe("01002f6100")
  expect(hex(unixSocketAddress("@a").bytes)).toBe("01000061")
})

test("a path may have 107 bytes and not one more", () => {
  expect(unixSocketAddress(`/${"x".repeat(106)}`).bytes.length).toBe(110)
  expect(() => unixSocketAddress(`/${"x".repeat(107)}`)).toThrow("108 bytes")
  // Counted in bytes, not in letters.
  expect(() => unixSocketAddress(`/${"ä".repeat(54)}`)).toThrow("109 bytes")
  expect(() => unixSocketAddress("")).toThrow(LariatError)
})
