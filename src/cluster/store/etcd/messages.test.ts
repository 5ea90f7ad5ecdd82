import { expect, test } from "bun:test"
import fc from "fast-check"
import * as z from "zod/mini"
import { header, kv } from "../../../../test/cluster/fake_dependencies.ts"
import { LariatError } from "../../../errors.ts"
import {
  count,
  encodePrefix,
  encodeText,
  grantAnswer,
  id,
  keepAliveAnswer,
  rangeAnswer,
  reader,
  streamMessage,
  tokenAnswer,
  txnAnswer,
  watchAnswer,
} from "./messages.ts"

test("texts go to base64 and back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const kvs = [{ ...kv("k", "", 3), value: encodeText(text) }]
      const { entries } = rangeAnswer({ header: header(3), kvs })
      expect(entries[0]?.value).toBe(text.toWellFormed())
    }),
  )
  const kvs = [kv("k", "\uFEFFx", 3)]
  expect(rangeAnswer({ header: header(3), kvs }).entries[0]?.value).toBe("\uFEFFx")
})

test("64-bit numbers are texts: counted ones exact, others kept; absent they are zero", () => {
  const counted = reader(z.object({ a: count }))
  const kept = reader(z.object({ a: id }))
  expect(counted({ a: "9007199254740991" }).a).toBe(Number.MAX_SAFE_INTEGER)
  expect([counted({ a: 7 }).a, counted({}).a]).toEqual([7, 0])
  expect(kept({ a: "18446744073709551615" }).a).toBe("18446744073709551615")
  expect([kept({ a: "-1" }).a, kept({ a: 5 }).a, kept({}).a]).toEqual(["-1", "5", "0"])
  for (const bad of ["9007199254740992", "-1", "1e3", "", " 1", "0x1", 1.5, -1, true, {}]) {
    expect(() => counted({ a: bad })).toThrow(LariatError)
  }
})

test("the keys of a prefix, and of all", () => {
  expect(encodePrefix("/a/")).toEqual({ key: encodeText("/a/"), range_end: encodeText("/a0") })
  expect(encodePrefix("")).toEqual({ key: encodeText("\0"), range_end: encodeText("\0") })
})

test("the key that follows is made of bytes, whatever they are", () => {
  const raw = Uint8Array.of(0xff, 0x80)
  const kvs = [{ ...kv("a", "1", 2), key: raw.toBase64() }]
  const { nextKey = "" } = rangeAnswer({ header: header(3), kvs, more: true })
  expect(Uint8Array.fromBase64(nextKey)).toEqual(Uint8Array.of(0xff, 0x80, 0))
})

test("a range as etcd 3.4 writes it", () => {
  const answer = rangeAnswer({
    header: header(9, 3),
    kvs: [kv("a", "1", 5), kv("b", "2", 7, 6)],
    more: true,
    count: "12",
  })
  expect(answer).toEqual({
    header: { clusterId: "7", revision: 9, term: 3 },
    entries: [
      { key: "a", value: "1", revision: 5 },
      { key: "b", value: "2", revision: 7 },
    ],
    characters: 8,
    nextKey: encodeText("b\0"),
  })
})

test("an empty range leaves everything out", () => {
  const answer = rangeAnswer({ header: header(1) })
  expect([answer.entries, answer.nextKey]).toEqual([[], undefined])
})

test("a transaction that did not succeed leaves that out", () => {
  expect(txnAnswer({ header: header(4) }).succeeded).toBe(false)
  expect(txnAnswer({ header: header(4), succeeded: true }).succeeded).toBe(true)
})

test("an answer without header or revision is none, nor is an entry without its key", () => {
  for (const fields of [{}, { header: {} }, { header: { revision: "0" } }, { header: 1 }]) {
    expect(() => rangeAnswer(fields)).toThrow(LariatError)
    expect(() => txnAnswer(fields)).toThrow(LariatError)
  }
  for (const part of [{ key: undefined }, { key: "" }, { mod_revision: undefined }]) {
    const kvs = [{ ...kv("a", "1", 2), ...part }]
    expect(() => rangeAnswer({ header: header(2), kvs })).toThrow("has an odd form")
  }
})

test("puts and deletions of a watch", () => {
  const { key } = kv("b", "", 9)
  const answer = watchAnswer({
    header: header(9),
    events: [{ kv: kv("a", "1", 8) }, { type: "DELETE", kv: { key, mod_revision: "9" } }],
  })
  expect(answer.events).toEqual([
    { key: "a", value: "1", revision: 8 },
    { key: "b", value: undefined, revision: 9 },
  ])
})

test("a watch refused for a compaction has no revision of its own", () => {
  const refused = {
    header: { cluster_id: "7", raft_term: "2" },
    canceled: true,
    compact_revision: "5",
  }
  expect(watchAnswer(refused)).toMatchObject({ canceled: true, compact_revision: 5 })
})

test("a lease that is lost has no time left", () => {
  expect(grantAnswer({ header: header(2), ID: "77", TTL: "9" })).toEqual({ ID: "77", TTL: 9 })
  expect(keepAliveAnswer({ result: { header: header(2), ID: "77" } }).result.TTL).toBe(0)
})

test("whatever comes is an answer or an error of ours that does not show it", () => {
  const shape = fc.record(
    {
      header: fc.oneof(fc.constant(header(3)), fc.jsonValue()),
      kvs: fc.oneof(fc.array(fc.record({ key: fc.string(), value: fc.string() })), fc.jsonValue()),
      events: fc.oneof(
        fc.array(fc.record({ kv: fc.jsonValue(), type: fc.jsonValue() })),
        fc.jsonValue(),
      ),
      created: fc.jsonValue(),
      token: fc.jsonValue(),
      error: fc.jsonValue(),
      compact_revision: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  const readers = [rangeAnswer, txnAnswer, watchAnswer, tokenAnswer, streamMessage, grantAnswer]
  fc.assert(
    fc.property(fc.oneof(shape, fc.jsonValue()), (answer) => {
      for (const read of readers) {
        try {
          read(answer)
        } catch (error) {
          expect(error).toBeInstanceOf(LariatError)
        }
      }
    }),
  )
  const kvs = [{ ...kv("a", "1", 2), value: "secret?" }]
  expect(() => rangeAnswer({ header: header(2), kvs })).toThrow(/holds no base64$/)
  expect(() => tokenAnswer({ token: ["secret"] })).not.toThrow("secret")
})
