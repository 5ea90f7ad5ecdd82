import { expect, test } from "bun:test"
import fc from "fast-check"
import { LariatError } from "../../../errors.ts"
import {
  countField,
  encodePrefix,
  encodeText,
  flagField,
  followingKey,
  idField,
  listField,
  parseFields,
  stringField,
  textField,
} from "./codec.ts"

test("texts go to base64 and back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(textField({ key: encodeText(text) }, "key")).toBe(text.toWellFormed())
    }),
  )
  expect(textField({ key: encodeText("\uFEFFx") }, "key")).toBe("\uFEFFx")
})

test("what is absent is empty, zero or false", () => {
  expect(textField({}, "a")).toBe("")
  expect(stringField({}, "a")).toBe("")
  expect(countField({}, "a")).toBe(0)
  expect(idField({}, "a")).toBe("0")
  expect(flagField({}, "a")).toBe(false)
  expect(listField({}, "a")).toEqual([])
})

test("64-bit numbers are texts: counted ones exact, others kept", () => {
  expect(countField({ a: "9007199254740991" }, "a")).toBe(Number.MAX_SAFE_INTEGER)
  expect(countField({ a: 7 }, "a")).toBe(7)
  expect(idField({ a: "18446744073709551615" }, "a")).toBe("18446744073709551615")
  expect(idField({ a: "-1" }, "a")).toBe("-1")
  for (const bad of ["9007199254740992", "-1", "1e3", "", " 1", "0x1", 1.5, -1, true, {}]) {
    expect(() => countField({ a: bad }, "a")).toThrow(LariatError)
  }
})

test("the keys of a prefix, and of all", () => {
  expect(encodePrefix("/a/")).toEqual({ key: encodeText("/a/"), range_end: encodeText("/a0") })
  expect(encodePrefix("")).toEqual({ key: encodeText("\0"), range_end: encodeText("\0") })
})

test("the key that follows is made of bytes, whatever they are", () => {
  const raw = Uint8Array.of(0xff, 0x80)
  expect(Uint8Array.fromBase64(followingKey({ key: raw.toBase64() }, "key"))).toEqual(
    Uint8Array.of(0xff, 0x80, 0),
  )
})

test("whatever JSON says, a field is right or an error of ours that does not show it", () => {
  const readers = [textField, stringField, countField, idField, flagField, listField, followingKey]
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const read of readers) {
        try {
          read({ a: value }, "a")
        } catch (error) {
          expect(error).toBeInstanceOf(LariatError)
        }
      }
    }),
  )
  expect(() => textField({ a: "not base64 secret" }, "a")).not.toThrow("secret")
})

test("only an object is taken for one", () => {
  for (const text of ["", "{", "[]", "null", "1", '"x"', "<html>"]) {
    expect(() => parseFields(text, "an answer")).toThrow(LariatError)
  }
})
