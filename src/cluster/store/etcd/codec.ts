/**
 * Fields of etcd's v3 JSON gateway (proto3 JSON): bytes are base64, 64-bit numbers are texts, and
 * what is zero, false or empty is left out. Total: what does not fit is an error.
 */

import { LariatError } from "../../../errors.ts"

/** An object of the gateway, not looked into yet. */
export type Fields = Readonly<Record<string, unknown>>

const encoder = new TextEncoder()
// Another program's bytes that are no UTF-8 must not hide all other entries of a listing.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** A text as the gateway takes bytes. */
export function encodeText(text: string): string {
  return encoder.encode(text).toBase64()
}

/** The `key` and `range_end` of all keys that begin with the prefix. */
export function encodePrefix(prefix: string): { key: string; range_end: string } {
  // A zero byte as the end means "all that follow", and an empty key is refused.
  const first = encoder.encode(prefix === "" ? "\0" : prefix)
  const end = first.slice()
  // The byte after the last one: no byte of UTF-8 is the highest.
  if (prefix !== "") end[end.length - 1] = (end.at(-1) ?? 0) + 1
  return { key: first.toBase64(), range_end: end.toBase64() }
}

/** @throws LariatError decode */
export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields
  throw unfit(what, "an object", value)
}

/** @throws LariatError decode */
export function parseFields(text: string, what: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new LariatError(`Cannot read ${what} of etcd: it is no JSON`, { code: "decode", cause })
  }
  return fieldsOf(value, what)
}

/** Bytes of the gateway as a text; absent: empty. @throws LariatError decode */
export function textField(fields: Fields, name: string): string {
  return decoder.decode(bytesField(fields, name))
}

function bytesField(fields: Fields, name: string): Uint8Array {
  const value = fields[name] ?? ""
  if (typeof value !== "string") throw unfit(name, "base64", value)
  try {
    return Uint8Array.fromBase64(value)
  } catch {
    throw unfit(name, "base64", value)
  }
}

/**
 * The key that comes next after one in the gateway's form: its bytes and a zero byte. Made of the
 * bytes, because a key of another program may be no UTF-8.
 *
 * @throws LariatError decode
 */
export function followingKey(fields: Fields, name: string): string {
  const bytes = bytesField(fields, name)
  const next = new Uint8Array(bytes.length + 1)
  next.set(bytes)
  return next.toBase64()
}

/** A text that is one; absent: empty. @throws LariatError decode */
export function stringField(fields: Fields, name: string): string {
  const value = fields[name] ?? ""
  if (typeof value === "string") return value
  throw unfit(name, "a text", value)
}

/**
 * A number from 0, absent: 0.
 *
 * @throws LariatError decode, also above 2^53, where numbers are no longer exact
 */
export function countField(fields: Fields, name: string): number {
  const value = fields[name]
  if (value === undefined) return 0
  const number = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number
  throw unfit(name, "a number from 0", value)
}

/** A 64-bit number that is only compared and given back; absent: "0". @throws LariatError decode */
export function idField(fields: Fields, name: string): string {
  const value = fields[name] ?? "0"
  const text = typeof value === "number" ? String(value) : value
  if (typeof text === "string" && /^-?\d{1,20}$/.test(text)) return text
  throw unfit(name, "a number", value)
}

/** Absent: false. @throws LariatError decode */
export function flagField(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false
  if (typeof value === "boolean") return value
  throw unfit(name, "true or false", value)
}

/** A list of objects; absent: empty. @throws LariatError decode */
export function listField(fields: Fields, name: string): Fields[] {
  const value = fields[name] ?? []
  if (!Array.isArray(value)) throw unfit(name, "a list", value)
  return value.map((item) => fieldsOf(item, name))
}

/** Shows no more of a value than helps: it may be long, and it may be somebody's secret. */
function unfit(what: string, expected: string, value: unknown): LariatError {
  const kind = Array.isArray(value) ? "a list" : value === null ? "null" : typeof value
  return new LariatError(`Cannot read ${what} of etcd: it is not ${expected} but ${kind}`, {
    code: "decode",
  })
}
