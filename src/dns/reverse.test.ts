import { expect, test } from "bun:test"
import fc from "fast-check"
import { formatAddress, parseAddress } from "../core/address.ts"
import { reverseName } from "./names.ts"
import { readReverse } from "./reverse.ts"

test("an address goes to its reverse name and back", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      ),
      (bytes) => {
        const read = readReverse(reverseName(bytes))
        expect([read?.first.bytes, read?.last.bytes, read?.isPrefix]).toEqual([bytes, bytes, false])
      },
    ),
  )
  expect(reverseName(parseAddress("10.42.0.1").bytes)).toBe("1.0.42.10.in-addr.arpa")
})

test.each([
  ["42.10.in-addr.arpa", "10.42.0.0", "10.42.255.255", true],
  ["10.IN-ADDR.arpa", "10.0.0.0", "10.255.255.255", true],
  // Below a network's name, and below an address: names of somebody's own (RFC 2317).
  ["0/25.1.42.10.in-addr.arpa", "10.42.1.0", "10.42.1.255", false],
  ["256.1.42.10.in-addr.arpa", "10.42.1.0", "10.42.1.255", false],
  ["x.1.0.42.10.in-addr.arpa", "10.42.0.1", "10.42.0.1", false],
  ["0.0.d.f.ip6.arpa", "fd00::", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true],
])("%s is about addresses from %s to %s", (name, first, last, isPrefix) => {
  const read = readReverse(name)
  expect(read && [formatAddress(read.first), formatAddress(read.last), read.isPrefix]).toEqual([
    first,
    last,
    isPrefix,
  ])
})

test("what stands for no address", () => {
  for (const name of ["in-addr.arpa", "x.in-addr.arpa", "ip6.arpa", "10.ip6.arpa"]) {
    expect(readReverse(name)).toBeUndefined()
  }
  for (const name of ["1.0.0.1.in-addr.example", "arpa", ""]) {
    expect(readReverse(name)).toBeUndefined()
  }
})
