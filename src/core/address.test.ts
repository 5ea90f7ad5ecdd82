import { describe, expect, test } from "bun:test"
import { isIP } from "node:net"
import fc from "fast-check"
import { Address4, Address6 } from "ip-address"
import { LariatError } from "../errors.ts"
import {
  type Address,
  addressAdd,
  addressOffset,
  compareAddresses,
  familyOf,
  formatAddress,
  formatPrefix,
  hostPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixSize,
  sameAddress,
} from "./address.ts"

const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 })
/** Sparse, so that runs of zero groups of every length and place appear. */
const bytes6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])))
  .filter((bytes) => !(bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 0xff))
const address: fc.Arbitrary<Address> = fc.oneof(
  bytes4.map((bytes) => ({ family: 4 as const, bytes })),
  bytes6.map((bytes) => ({ family: 6 as const, bytes })),
)
const prefix: fc.Arbitrary<Prefix> = address.chain((a) =>
  fc.integer({ min: 0, max: a.bytes.length * 8 }).map((length) => ({ ...a, length })),
)

function fullText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/.{4}(?=.)/g, "$&:")
}

/** Canonical text as the URL standard has it, which for IPv6 is that of RFC 5952. */
function hostOfUrl(text: string): string {
  const host = text.includes(":") ? `[${text}]` : text
  return new URL(`http://${host}/`).hostname.replace(/[[\]]/g, "")
}

/** The error that reading gives; fails the test where there is none. */
function refusal(read: () => unknown): LariatError {
  try {
    read()
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
  throw new Error("it was accepted")
}

describe("address text", () => {
  test("is written as URLs write it", () => {
    fc.assert(
      fc.property(bytes6, (bytes) => {
        expect(formatAddress({ family: 6, bytes })).toBe(hostOfUrl(fullText(bytes)))
      }),
    )
    fc.assert(
      fc.property(bytes4, (bytes) => {
        expect(formatAddress({ family: 4, bytes })).toBe(hostOfUrl(bytes.join(".")))
      }),
    )
  })

  test("its spelling says the family, and the prefix of it alone", () => {
    fc.assert(
      fc.property(address, (a) => {
        const text = formatAddress(a)
        expect(familyOf(text)).toBe(a.family)
        expect(parsePrefix(hostPrefix(text))).toEqual({ ...a, length: a.bytes.length * 8 })
      }),
    )
  })

  test("survives writing and reading", () => {
    fc.assert(
      fc.property(address, (a) => {
        expect(parseAddress(formatAddress(a))).toEqual(a)
      }),
    )
  })

  test("accepts what Node accepts, and nothing else, of texts near an address", () => {
    const text = fc
      .array(fc.constantFrom("0", "1", "f", "ffff", "00a", ":", "::", ".", "255", "g", "/", "%"), {
        maxLength: 15,
      })
      .map((parts) => parts.join(""))
    fc.assert(
      fc.property(text, (received) => {
        const refused = /[%/]|:.*\.|^[0:]+:ffff(?::[0-9a-f]{1,4}){2}$/i.test(received)
        const good = isIP(received) !== 0 && !refused
        const expected = good ? hostOfUrl(received) : undefined
        let actual: string | undefined
        try {
          actual = formatAddress(parseAddress(received))
        } catch (error) {
          expect(error).toBeInstanceOf(LariatError)
        }
        expect(actual).toBe(expected)
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["::", "::"],
    ["0:0:1::", "0:0:1::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:0:1:2", "::ffff:0:1:2"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
  ])("%s is %s", (received, expected) => {
    expect(formatAddress(parseAddress(received))).toBe(expected)
  })

  test.each([
    ["", "it is empty"],
    ["10.42.0", "this has 3"],
    ["10.42.0.1.2", "this has more"],
    ["10.42..1", "missing between the dots"],
    ["10.42.0.", "missing between the dots"],
    ["10.42.0.256", "greater than 255"],
    ["10.42.0.01", "leading zero"],
    ["10.42.0.00", "leading zero"],
    ["0x0a.1.1.1", 'character "x"'],
    [" 10.42.0.1", 'character " "'],
    ["10.42.0.1\n", 'character "\\n"'],
    ["١.1.1.1", 'character "١"'],
    ["10.42.0.1/16", "prefix length"],
    ["fe80::1%eth0", "zone id"],
    ["fe80:1111:2222:3333:4444:5555:6666:7777%eth0", "zone id"],
    ["::ffff:10.42.0.1", "dotted IPv4 part"],
    ["::ffff:a2a:1", "IPv4-mapped"],
    ["64:ff9b::192.0.2.33", "dotted IPv4 part"],
    [":1::", "starts with a single colon"],
    [":", "starts with a single colon"],
    ["1:2:3:4:5:6:7:", "ends with a single colon"],
    ["1::2::3", "more than once"],
    [":::", "empty"],
    ["1:2:3:4:5:6:7", "this has 7"],
    ["1:2:3:4:5:6:7:8:9", "this has 9"],
    ["1::2:3:4:5:6:7:8", "this has 8"],
    ["12345::", "more than four digits"],
    ["fd00::g", 'character "g"'],
  ])("refuses %j and says why", (received, why) => {
    const error = refusal(() => parseAddress(received))
    expect(error.code).toBe("config-invalid")
    expect(error.message).toStartWith(`Cannot read address ${JSON.stringify(received)}: `)
    expect(error.message).toContain(why)
  })

  test("names the IPv4 address of a mapped one in the hint", () => {
    expect(refusal(() => parseAddress("::ffff:a2a:1")).hint).toBe("Write 10.42.0.1")
  })

  test("shows only the head of an endless text", () => {
    const error = refusal(() => parseAddress("1".repeat(1_000_000)))
    expect(error.message.length).toBeLessThan(200)
  })
})

describe("prefix text", () => {
  test("survives writing and reading", () => {
    fc.assert(
      fc.property(prefix, (p) => {
        expect(parsePrefix(formatPrefix(p))).toEqual(p)
      }),
    )
  })

  test.each([
    ["10.42.0.0", "no prefix length"],
    ["10.42.0.0/", "no plain decimal"],
    ["10.42.0.0/33", "at most 32"],
    ["fd00::/129", "at most 128"],
    ["10.42.0.0/016", "no plain decimal"],
    ["10.42.0.0/-1", "no plain decimal"],
    ["10.42.0.0/16/8", "no plain decimal"],
    ["10.42.0.0/255.255.0.0", "no plain decimal"],
    ["10.42.0/16", "this has 3"],
    ["/16", "it is empty"],
  ])("refuses %j and says why", (received, why) => {
    const error = refusal(() => parsePrefix(received))
    expect(error.code).toBe("config-invalid")
    expect(error.message).toContain(why)
  })
})

describe("arithmetic", () => {
  test("network, last address and size agree with ip-address", () => {
    fc.assert(
      fc.property(prefix, (p) => {
        const oracle =
          p.family === 4 ? new Address4(formatPrefix(p)) : new Address6(formatPrefix(p))
        expect(formatAddress(networkOf(p))).toBe(oracle.startAddress().correctForm())
        expect(formatAddress(lastAddress(p))).toBe(oracle.endAddress().correctForm())
        expect(prefixSize(p)).toBe(1n << BigInt(p.bytes.length * 8 - p.length))
      }),
    )
  })

  test("an address lies in its own prefix, and the next prefix does not hold it", () => {
    fc.assert(
      fc.property(prefix, (p) => {
        expect(prefixContains(p, p)).toBe(true)
        expect(prefixContains(p, lastAddress(p))).toBe(true)
        const size = prefixSize(p)
        const first = networkOf(p)
        const offset = addressOffset(p, p)
        expect(offset).toBeGreaterThanOrEqual(0n)
        expect(offset).toBeLessThan(size)
        expect(sameAddress(addressAdd(first, offset), p)).toBe(true)
        expect(addressOffset(p, lastAddress(p))).toBe(size - 1n)
        if (lastAddress(p).bytes.some((byte) => byte !== 0xff)) {
          const next = addressAdd(first, size)
          expect(prefixContains(p, next)).toBe(false)
          expect(refusal(() => addressOffset(p, next)).code).toBe("address-outside")
        }
      }),
    )
  })

  test("two prefixes overlap when one holds the other's first address", () => {
    fc.assert(
      fc.property(prefix, prefix, (p, q) => {
        const expected = prefixContains(p, networkOf(q)) || prefixContains(q, networkOf(p))
        expect(prefixesOverlap(p, q)).toBe(expected)
        expect(prefixesOverlap(q, p)).toBe(expected)
        expect(prefixesOverlap(p, { ...p, length: q.family === p.family ? q.length : 0 })).toBe(
          true,
        )
      }),
    )
  })

  test("families never mix", () => {
    const all4 = parsePrefix("0.0.0.0/0")
    const all6 = parsePrefix("::/0")
    expect(prefixContains(all6, parseAddress("10.0.0.1"))).toBe(false)
    expect(prefixContains(all4, parseAddress("fd00::1"))).toBe(false)
    expect(prefixesOverlap(all4, all6)).toBe(false)
    expect(sameAddress(parseAddress("0.0.0.0"), parseAddress("::"))).toBe(false)
    expect(compareAddresses(parseAddress("255.0.0.0"), parseAddress("::"))).toBeLessThan(0)
  })

  test("adding goes forth and back and stops at the ends", () => {
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 255 }), (a, n) => {
        const low = { ...a, bytes: a.bytes.map((byte, i) => (i === 0 ? byte & 0x7f : byte)) }
        const sum = addressAdd(low, n)
        expect(addressAdd(sum, -n)).toEqual(low)
        expect(Math.sign(compareAddresses(sum, low))).toBe(Math.sign(n))
      }),
    )
    for (const [start, n] of [
      ["255.255.255.255", 1],
      ["0.0.0.0", -1],
      ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1n],
      ["::", -1n],
    ] as const) {
      expect(refusal(() => addressAdd(parseAddress(start), n)).code).toBe("address-outside")
    }
  })
})
