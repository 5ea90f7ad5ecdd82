import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { LariatError } from "../../errors.ts"
import { commentField, commentOf, encodeUserdata, numberField } from "./userdata.ts"

const COMMENT = 7

describe("comments", () => {
  test("are found among other fields", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 40, unit: "grapheme" }).filter((text) => !text.includes("\0")),
        fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 4 }),
        (text, others) => {
          const fields = others.map((value, index) => ({ type: index, value }))
          const bytes = encodeUserdata([...fields, commentField(COMMENT, text)])
          expect(commentOf(bytes, COMMENT)).toBe(text)
        },
      ),
    )
  })

  test("are not there where nothing is", () => {
    expect(commentOf(undefined, COMMENT)).toBeUndefined()
    expect(commentOf(encodeUserdata([numberField(0, 2)]), COMMENT)).toBeUndefined()
  })

  test("of other people's making cannot do harm", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(255), (bytes, type) => {
        const text = commentOf(bytes, type)
        expect(text === undefined || text.length <= 255).toBe(true)
      }),
    )
  })

  test("that are too long are refused", () => {
    expect(() => commentField(COMMENT, "x".repeat(129))).toThrow(LariatError)
    expect(() => commentField(COMMENT, "x".repeat(128))).not.toThrow()
  })
})

test("numbers are in host byte order", () => {
  expect(encodeUserdata([numberField(0, 2)]).toHex()).toBe("000402000000")
})

test("more than the kernel keeps is refused", () => {
  const field = { type: 1, value: new Uint8Array(127) }
  expect(encodeUserdata([field]).byteLength).toBe(129)
  expect(() => encodeUserdata([field, field])).toThrow("at most 256")
})
