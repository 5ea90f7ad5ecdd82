import { expect, test } from "bun:test"
import fc from "fast-check"
import { parseAddress } from "../core/address.ts"
import { reverseName } from "./names.ts"
import { addressOfReverse } from "./reverse.ts"

test("an address goes to its reverse name and back", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      ),
      (bytes) => {
        expect(addressOfReverse(reverseName(bytes))?.bytes).toEqual(bytes)
      },
    ),
  )
  expect(reverseName(parseAddress("10.42.0.1").bytes)).toBe("1.0.42.10.in-addr.arpa")
})

test("what stands for no address", () => {
  for (const name of ["in-addr.arpa", "42.10.in-addr.arpa", "256.0.0.1.in-addr.arpa"]) {
    expect(addressOfReverse(name)).toBeUndefined()
  }
  for (const name of ["01.0.0.1.in-addr.arpa", "1.0.0.1.in-addr.example", "1.0.ip6.arpa", ""]) {
    expect(addressOfReverse(name)).toBeUndefined()
  }
})
