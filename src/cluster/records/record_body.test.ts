import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { PeerRefusedError } from "./envelope.ts"
import { BodyReader } from "./record_body.ts"

const readerOf = (value: unknown) => new BodyReader("record", { value })

describe("fields", () => {
  test("of the right form are given", () => {
    expect(readerOf(7).integer("value", 0, 7)).toBe(7)
    expect(readerOf("ab").text("value", /^[a-z]+$/)).toBe("ab")
    expect([...readerOf("AQI").bytes("value", 2)]).toEqual([1, 2])
    expect(readerOf([1, "x"]).list("value", 1, 2)).toEqual([1, "x"])
  })

  test.each([8, -1, 0.5, "7", null, undefined, Number.NaN])(
    "%p is no number from 0 to 7",
    (bad) => {
      expect(() => readerOf(bad).integer("value", 0, 7)).toThrow(
        "Cannot take the record: value is no whole number from 0 to 7",
      )
    },
  )

  test.each(["AQI=", "AQJ", "AQ", "AQID", "", 5])("%p is not two bytes", (bad) => {
    expect(() => readerOf(bad).bytes("value", 2)).toThrow("value is not 2 bytes")
  })

  test("that come from the prototype are not there", () => {
    const reader = new BodyReader("record", {})
    expect(() => reader.text("toString", /./)).toThrow("toString is out of shape")
  })

  test("of anything at all are given or refused", () => {
    fc.assert(
      fc.property(fc.anything(), (body) => {
        for (const read of [
          (reader: BodyReader) => reader.integer("a", 0, 9),
          (reader: BodyReader) => reader.text("a", /x/),
          (reader: BodyReader) => reader.bytes("a", 3),
          (reader: BodyReader) => reader.list("a", 0, 3),
        ]) {
          try {
            read(new BodyReader("record", body))
          } catch (error) {
            expect(error).toBeInstanceOf(PeerRefusedError)
            expect(error).toMatchObject({ check: "record", code: "peer-refused" })
          }
        }
      }),
    )
  })
})
