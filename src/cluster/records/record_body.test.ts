import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import * as z from "zod/mini"
import { PeerRefusedError } from "./envelope.ts"
import { addresses, bodyReader, bytes, integer, map, name, text } from "./record_body.ts"

/** Reads a record of one value. */
function valueBy<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  return bodyReader("record", z.object({ value: schema }))({ value }).value
}

describe("fields", () => {
  test("of the right form are given", () => {
    expect(valueBy(integer(0, 7), 7)).toBe(7)
    expect(valueBy(text(/^[a-z]+$/), "ab")).toBe("ab")
    expect([...valueBy(bytes(2), "AQI")]).toEqual([1, 2])
    expect(valueBy(addresses(1, 2), ["10.42.0.1"])).toEqual(["10.42.0.1"])
    const odd = JSON.parse('{"__proto__":"a","constructor":"b"}')
    expect(valueBy(map(2, z.string()), odd)).toEqual(odd)
  })

  test.each([8, -1, 0.5, "7", null, undefined, Number.NaN])(
    "%p is no number from 0 to 7",
    (bad) => {
      expect(() => valueBy(integer(0, 7), bad)).toThrow(
        "Cannot take the record: value is out of shape",
      )
    },
  )

  test.each(["AQI=", "AQJ", "AQ", "AQID", ""])("%p is not two bytes", (bad) => {
    expect(() => valueBy(bytes(2), bad)).toThrow("value is not 2 bytes of base64url")
  })

  test.each([
    [["10.42.0.01"], "value is out of shape"],
    [["10.42.0.1", "10.42.0.1"], "value holds an address twice"],
    [["10.42.0.1", "10.42.0.2", "10.42.0.3"], "value is out of shape"],
  ])("%p are no two canonical addresses", (bad, why) => {
    expect(() => valueBy(addresses(1, 2), bad)).toThrow(why)
  })

  test.each([
    [{ a: 1 }, "value holds something: it is out of shape"],
    [{ long: "x" }, "value holds a key too long"],
    [{ a: "", b: "", c: "" }, "value has more than 2 entries"],
    [[], "value is out of shape"],
  ])("%j is no map", (bad, why) => {
    expect(() => valueBy(map(2, z.string(), 3), bad)).toThrow(why)
  })

  test("that come from the prototype are not there", () => {
    const read = bodyReader("record", z.object({ toString: text(/./) }))
    expect(() => read({})).toThrow("toString is out of shape")
  })

  test("of anything at all are given or refused", () => {
    const schemas = [integer(0, 9), name, bytes(3), addresses(0, 3), map(3, z.string())]
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (body, a) => {
        for (const schema of schemas) {
          for (const one of [body, { a }]) {
            try {
              bodyReader<unknown>("record", z.object({ a: schema as z.ZodMiniType }))(one)
            } catch (error) {
              expect(error).toBeInstanceOf(PeerRefusedError)
              expect(error).toMatchObject({ check: "record", code: "peer-refused" })
            }
          }
        }
      }),
    )
  })
})
