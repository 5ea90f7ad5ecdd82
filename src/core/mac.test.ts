import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { LariatError } from "../errors.ts"
import { formatMac, isInterfaceMac, parseMac, randomMac } from "./mac.ts"

const octets = fc.uint8Array({ minLength: 6, maxLength: 6 })

describe("MAC text", () => {
  test("survives writing and reading, in both cases", () => {
    fc.assert(
      fc.property(octets, (bytes) => {
        expect(parseMac(formatMac(bytes))).toEqual(bytes)
        expect(parseMac(formatMac(bytes).toUpperCase())).toEqual(bytes)
      }),
    )
    expect(formatMac(Uint8Array.of(2, 0, 1, 10, 0xff, 0))).toBe("02:00:01:0a:ff:00")
  })

  test.each([
    "",
    "02:00:01:0a:0b",
    "02:00:01:0a:0b:0c:0d",
    "2:0:1:a:b:c",
    "02-00-01-0a-0b-0c",
    "0200010a0b0c",
    "02:00:01:0a:0b:0g",
    " 02:00:01:0a:0b:0c",
  ])("refuses %p", (received) => {
    expect(() => parseMac(received)).toThrow(LariatError)
  })
})

test("an endless text is refused with a short message", () => {
  const read = (): unknown => parseMac("00:".repeat(100_000))
  expect(read).toThrow(LariatError)
  expect(read).toThrow(/^.{1,250}$/)
})

describe("random MAC", () => {
  test("is locally administered, unicast and else what the source gave", () => {
    fc.assert(
      fc.property(octets, (bytes) => {
        const mac = parseMac(randomMac((n) => bytes.slice(0, n)))
        expect((mac[0] ?? 0) & 3).toBe(2)
        expect((mac[0] ?? 0) | 3).toBe((bytes[0] ?? 0) | 3)
        expect(mac.subarray(1)).toEqual(bytes.subarray(1))
        expect(isInterfaceMac(mac)).toBe(true)
      }),
    )
  })

  test("keeps its prefix and asks only for the rest", () => {
    const asked: number[] = []
    const source = (n: number): Uint8Array => {
      asked.push(n)
      return new Uint8Array(n).fill(0xee)
    }
    expect(randomMac(source, "02:00:01")).toBe("02:00:01:ee:ee:ee")
    expect(asked).toEqual([3])
  })

  test("an interface has no group address and not all zeros", () => {
    expect(isInterfaceMac(parseMac("00:00:00:00:00:00"))).toBe(false)
    expect(isInterfaceMac(parseMac("ff:ff:ff:ff:ff:ff"))).toBe(false)
    expect(isInterfaceMac(parseMac("01:00:5e:00:00:01"))).toBe(false)
    expect(isInterfaceMac(parseMac("00:16:3e:00:00:01"))).toBe(true)
  })
})
