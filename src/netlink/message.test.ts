import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { LariatError } from "../errors.ts"
import { Attributes, parseAttributeList, parseAttributes, readString } from "./attribute.ts"
import { MessageWriter, parseMessages } from "./message.ts"

const only = (writer: MessageWriter) => {
  const [message] = parseMessages(writer.finish(7))
  if (message === undefined) throw new Error("no message")
  return message
}

describe("MessageWriter", () => {
  test("writes header, fields and padded attributes as the kernel lays them out", () => {
    const bytes = new MessageWriter(16, 0x601)
      .u8(10)
      .zeros(3)
      .u32(5)
      .attrString(3, "eth0")
      .attrU8(1, 0xff)
      .finish(0x01020304, 0x4)
    expect(bytes.toHex()).toBe(
      "2c000000" + // length 44
        "1000" + // type
        "0506" + // flags with ACK
        "04030201" + // seq
        "00000000" + // pid
        "0a000000" +
        "05000000" +
        "09000300" +
        "6574683000000000" +
        "05000100" +
        "ff000000",
    )
  })

  test("every number comes back as it was written", () => {
    const writer = new MessageWriter(1)
      .attrU8(1, 250)
      .attrU16(2, 65_000)
      .attrU16be(3, 65_001)
      .attrU32(4, 4_000_000_000)
      .attrU32be(5, 4_000_000_001)
      .attrU64be(8, 2n ** 63n + 1n)
    const got = parseAttributes(only(writer).payload)
    expect(got.u8(1)).toBe(250)
    expect(got.u16(2)).toBe(65_000)
    expect(got.u16be(3)).toBe(65_001)
    expect(got.u32(4)).toBe(4_000_000_000)
    expect(got.u32be(5)).toBe(4_000_000_001)
    expect(got.u64be(8)).toBe(2n ** 63n + 1n)
  })

  test("nested attributes of any shape come back", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 0x3fff }), fc.uint8Array({ maxLength: 700 }))),
        fc.integer({ min: 0, max: 0x3fff }),
        (attributes, outer) => {
          const writer = new MessageWriter(1)
          writer.nested(outer | 0x8000, () => {
            for (const [type, value] of attributes) writer.attr(type, value)
          })
          writer.attrU32(2, 99)
          const [nested, after] = parseAttributeList(only(writer).payload)
          expect(nested?.type).toBe(outer)
          expect(after?.type).toBe(2)
          const back = parseAttributeList(nested?.payload ?? new Uint8Array(0))
          expect(back.map((a) => [a.type, a.payload])).toEqual(attributes)
        },
      ),
    )
  })

  test("finish may be called again with another number", () => {
    const writer = new MessageWriter(1).attrU32(1, 5)
    const first = writer.finish(1).slice()
    const second = writer.finish(2).slice()
    expect(second.byteLength).toBe(first.byteLength)
    expect(parseMessages(second)[0]?.seq).toBe(2)
  })

  test("refuses an attribute that its length field cannot hold", () => {
    const writer = new MessageWriter(1, 0, { operation: "make a set" })
    expect(() => writer.attr(1, new Uint8Array(65_532))).toThrow(/Cannot make a set: attribute 1/)
    const nested = new MessageWriter(1)
    expect(() =>
      nested.nested(1, () => {
        for (let i = 0; i < 10; i++) nested.attr(2, new Uint8Array(10_000))
      }),
    ).toThrow(LariatError)
  })
})

describe("parsing", () => {
  test("splits several messages and keeps their fields", () => {
    const a = new MessageWriter(20, 2).u32(1).finish(3).slice()
    const b = new MessageWriter(21, 0).u8(1).finish(4).slice()
    const both = new Uint8Array([...a, ...b])
    expect(parseMessages(both).map((m) => [m.type, m.flags, m.seq, m.payload.byteLength])).toEqual([
      [20, 2, 3, 4],
      [21, 0, 4, 4],
    ])
  })

  test.each([
    ["a cut header", new Uint8Array(15)],
    ["length 0", new Uint8Array(16)],
    ["length over the end", new Uint8Array([17, 0, 0, 0, ...new Uint8Array(12)])],
    ["length of 2^32-1", new Uint8Array([255, 255, 255, 255, ...new Uint8Array(12)])],
  ])("message with %s is malformed", (_what, bytes) => {
    expect(() => parseMessages(bytes)).toThrow(/Cannot read netlink messages at byte 0/)
  })

  test.each([
    ["a cut header", new Uint8Array(3)],
    ["length 0", new Uint8Array(4)],
    ["length over the end", new Uint8Array([9, 0, 1, 0, 1, 2, 3, 4])],
  ])("attribute with %s is malformed", (_what, bytes) => {
    expect(() => parseAttributes(bytes)).toThrow(/Cannot read netlink attributes at byte 0/)
  })

  test("a last attribute without padding is good", () => {
    expect(parseAttributes(new Uint8Array([5, 0, 1, 0, 42])).get(1)).toEqual(new Uint8Array([42]))
  })

  test("a payload shorter than its number is malformed", () => {
    expect(() => new Attributes([[1, new Uint8Array(3)]]).u32(1)).toThrow(
      /4 bytes expected, 3 are there/,
    )
    expect(() => new Attributes([[1, new Uint8Array(0)]]).u64be(1)).toThrow(LariatError)
  })

  test("text ends at its first zero, or with the payload", () => {
    expect(readString(new Uint8Array([97, 98, 0, 99]))).toBe("ab")
    expect(readString(new Uint8Array([97, 98]))).toBe("ab")
  })

  test("any bytes give messages and attributes or a decode error, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const parse of [parseMessages, parseAttributeList]) {
          try {
            parse(bytes)
          } catch (error) {
            expect(error).toBeInstanceOf(LariatError)
            expect((error as LariatError).code).toBe("decode")
          }
        }
      }),
      { numRuns: 2000 },
    )
  })
})

test("numbers that outgrow the buffer are written whole, of every width", () => {
  for (const width of ["u8", "u16", "u16be", "u32", "u32be", "i32", "u64", "u64be"] as const) {
    for (let before = 480; before < 516; before++) {
      const writer = new MessageWriter(1, 0).zeros(before)
      if (width === "u64" || width === "u64be") writer[width](0x0102030405060708n)
      else writer[width](width === "u8" ? 0x77 : 0x0102)
      const [message] = parseMessages(writer.finish(1))
      const written = message?.payload.subarray(before) ?? new Uint8Array(0)
      expect(written.some((byte) => byte !== 0)).toBe(true)
      expect(message?.payload.subarray(0, before).every((byte) => byte === 0)).toBe(true)
    }
  }
})
