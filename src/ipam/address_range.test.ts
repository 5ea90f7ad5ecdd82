import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { addressAdd, formatAddress, parseAddress } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { AddressRange, MAX_RANGE_SIZE } from "./address_range.ts"

const range = (first: string, last: string): AddressRange =>
  new AddressRange(parseAddress(first), parseAddress(last))

function codeOf(action: () => unknown): string | undefined {
  try {
    action()
  } catch (error) {
    return error instanceof LariatError ? error.code : "no LariatError"
  }
  return undefined
}

describe("AddressRange", () => {
  test("counts both ends", () => {
    expect(range("10.42.0.2", "10.42.255.250").size).toBe(65_529)
    expect(range("10.42.0.2", "10.42.0.2").size).toBe(1)
    expect(range("0.0.0.0", "0.255.255.255").size).toBe(MAX_RANGE_SIZE)
  })

  test("cuts ranges that are larger than the cap, from the end", () => {
    for (const [first, last, end] of [
      ["0.0.0.0", "255.255.255.255", "0.255.255.255"],
      ["fd00::", "fd00::ffff:ffff:ffff:ffff", "fd00::ff:ffff"],
      ["fd00::1", "fd01::", "fd00::100:0"],
    ] as const) {
      const cut = range(first, last)
      expect(cut.size).toBe(MAX_RANGE_SIZE)
      expect(formatAddress(cut.at(cut.size - 1))).toBe(end)
    }
  })

  test("carries across bytes", () => {
    expect(formatAddress(range("10.0.255.255", "10.1.0.3").at(1))).toBe("10.1.0.0")
    expect(formatAddress(range("fd00::ffff:ffff", "fd00::1:0:0").at(1))).toBe("fd00::1:0:0")
    expect(range("fd00::ffff:ffff", "fd00::1:0:0").offsetOf(parseAddress("fd00::1:0:0"))).toBe(1)
  })

  test("finds nothing outside", () => {
    const some = range("10.42.0.2", "10.42.0.9")
    for (const outside of ["10.42.0.1", "10.42.0.10", "0.0.0.0", "255.255.255.255", "::a2a:2"]) {
      expect(some.offsetOf(parseAddress(outside))).toBeUndefined()
    }
    expect(range("fd00::2", "fd00::9").offsetOf(parseAddress("fd00:1::3"))).toBeUndefined()
  })

  test("overlaps what it shares an address with", () => {
    const some = range("10.0.0.4", "10.0.0.7")
    for (const other of [range("10.0.0.7", "10.0.0.9"), range("10.0.0.0", "10.0.0.4"), some]) {
      expect([some.overlaps(other), other.overlaps(some)]).toEqual([true, true])
    }
    for (const other of [range("10.0.0.8", "10.0.0.9"), range("fd00::", "fd00::f")]) {
      expect([some.overlaps(other), other.overlaps(some)]).toEqual([false, false])
    }
  })

  test("refuses ends that do not go together", () => {
    expect(codeOf(() => range("10.0.0.2", "10.0.0.1"))).toBe("config-invalid")
    expect(codeOf(() => range("10.0.0.2", "fd00::1"))).toBe("config-invalid")
  })

  test("offset and address are each other's inverse and agree with BigInt arithmetic", () => {
    const first = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => ({ family: 4 as const, bytes })),
      fc
        .uint8Array({ minLength: 16, maxLength: 16 })
        .map((bytes) => ({ family: 6 as const, bytes })),
    )
    fc.assert(
      fc.property(first, fc.nat(MAX_RANGE_SIZE - 1), fc.nat(MAX_RANGE_SIZE - 1), (start, a, b) => {
        const [offset, span] = a < b ? [a, b] : [b, a]
        fc.pre(
          start.bytes.some((byte) => byte < 0xff) &&
            codeOf(() => addressAdd(start, span)) === undefined,
        )
        const some = new AddressRange(start, addressAdd(start, span))
        expect(some.size).toBe(span + 1)
        expect(some.at(offset)).toEqual(addressAdd(start, offset))
        expect(some.offsetOf(some.at(offset))).toBe(offset)
      }),
    )
  })
})
