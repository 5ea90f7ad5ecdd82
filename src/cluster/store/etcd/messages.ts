/**
 * What goes to etcd's v3 JSON gateway and what it answers (rpc.proto and kv.proto as proto3 JSON):
 * bytes are base64, 64-bit numbers are texts, and what is zero, false or empty is left out.
 */

import * as z from "zod/mini"
import { read } from "../../../config/value_schema.ts"
import { LariatError } from "../../../errors.ts"
import { type Change, type Entry, MAX_VALUE_BYTES, TOO_LONG } from "../store.ts"

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

/** Bytes, still as base64; absent: none. */
export const base64 = z._default(z.string(), "")
/** A number from 0 that is exact; absent: 0. */
export const count = z.pipe(
  z._default(z.union([z.string().check(z.regex(/^\d{1,16}$/)), z.number()]), 0),
  z.pipe(z.transform(Number), z.int().check(z.nonnegative())),
)
/** A 64-bit number that is only compared and given back; absent: "0". */
export const id = z.pipe(
  z._default(z.union([z.string().check(z.regex(/^-?\d{1,20}$/)), z.int()]), "0"),
  z.transform(String),
)
const flag = z._default(z.boolean(), false)

const header = read(
  z.object({ cluster_id: id, revision: count, raft_term: count }),
  ({ cluster_id: clusterId, revision, raft_term: term }) => ({ clusterId, revision, term }),
)
/** Of an answer of the key space, whose first revision is 1. */
const written = header.check(z.refine(({ revision }) => revision > 0))
const kv = z.object({
  key: z.string().check(z.minLength(1)),
  value: base64,
  mod_revision: z.pipe(count, z.int().check(z.positive())),
})

/** Which history a member tells of. */
export type Header = z.output<typeof header>

/** The header of an answer of which nothing else is of interest. */
export const headerAnswer = reader(read(z.object({ header }), (answer) => answer.header))

export const rangeAnswer = reader(
  read(
    z.object({ header: written, kvs: z._default(z.array(kv), []), more: flag }),
    ({ header, kvs, more }) => ({
      header,
      entries: kvs.map(entryOf),
      /** Of the values as they came. */
      characters: kvs.reduce((sum, { value }) => sum + value.length, 0),
      /** Where a listing goes on, as the gateway takes it; undefined where it has all. */
      nextKey: more ? followingKey(kvs.at(-1)?.key ?? "") : undefined,
    }),
  ),
)

export const txnAnswer = reader(z.object({ header: written, succeeded: flag }))

const event = z.object({ type: z._default(z.string(), "PUT"), kv })

export const watchAnswer = reader(
  z.object({
    header,
    created: flag,
    canceled: flag,
    cancel_reason: z._default(z.string(), ""),
    /** Not 0: the wanted revisions up to this one are gone. */
    compact_revision: count,
    /** More of the same answer follows. */
    fragment: flag,
    events: read(z._default(z.array(event), []), (events) => events.map(changeOf)),
  }),
)

export type WatchAnswer = ReturnType<typeof watchAnswer>

export const grantAnswer = reader(z.object({ ID: id, TTL: count }))

/** The gateway wraps it as the stream that it is; TTL is left out of an answer for a lost lease. */
export const keepAliveAnswer = reader(z.object({ result: z.object({ TTL: count }) }))

export const tokenAnswer = reader(read(z.object({ token: z.string() }), ({ token }) => token))

/** A message of a stream: what it holds, or why there is none. */
export const streamMessage = reader(
  z.object({ result: z.optional(z.unknown()), error: z.optional(z.unknown()) }),
)

/**
 * Reads what a schema describes. What does not fit is not shown: it may be long, and it may be
 * somebody's secret.
 *
 * @throws LariatError decode
 */
export function reader<T>(schema: z.ZodMiniType<T>): (answer: unknown) => T {
  return (answer) => {
    const { success, data, error } = schema.safeParse(answer)
    if (success) return data
    const where = error.issues[0]?.path.join(".") || "all of it"
    throw new LariatError(`Cannot read a message of etcd: ${where} has an odd form`, {
      code: "decode",
    })
  }
}

function entryOf({ key, value, mod_revision: revision }: z.output<typeof kv>): Entry {
  return { key: decoder.decode(bytesOf(key)), value: boundedValue(value), revision }
}

function changeOf({ type, kv }: z.output<typeof event>): Change {
  const entry = entryOf(kv)
  return type === "DELETE" ? { ...entry, value: undefined } : entry
}

/** Base64 has four characters for three bytes. */
function boundedValue(text: string): string {
  return (text.length / 4) * 3 - 2 > MAX_VALUE_BYTES ? TOO_LONG : decoder.decode(bytesOf(text))
}

/** The bytes of a key and a zero byte: made of the bytes, since a key may be no UTF-8. */
function followingKey(key: string): string {
  const bytes = bytesOf(key)
  const next = new Uint8Array(bytes.length + 1)
  next.set(bytes)
  return next.toBase64()
}

function bytesOf(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text)
  } catch {
    throw new LariatError("Cannot read a message of etcd: it holds no base64", { code: "decode" })
  }
}
