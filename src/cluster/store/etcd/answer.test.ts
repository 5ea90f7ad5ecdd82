import { expect, test } from "bun:test"
import fc from "fast-check"
import { header, kv } from "../../../../test/cluster/fake_world.ts"
import { LariatError } from "../../../errors.ts"
import { rangeAnswer, txnAnswer, watchAnswer } from "./answer.ts"

test("a range as etcd 3.4 writes it", () => {
  const answer = rangeAnswer({
    header: header(9, 3),
    kvs: [kv("a", "1", 5), kv("b", "2", 7, 6)],
    more: true,
    count: "12",
  })
  expect(answer).toMatchObject({
    header: { clusterId: "7", revision: 9, term: 3 },
    entries: [
      { key: "a", value: "1", revision: 5 },
      { key: "b", value: "2", revision: 7 },
    ],
    more: true,
  })
})

test("an empty range leaves everything out", () => {
  expect(rangeAnswer({ header: header(1) })).toMatchObject({ entries: [], more: false })
})

test("a transaction that did not succeed leaves that out", () => {
  expect(txnAnswer({ header: header(4) }).succeeded).toBe(false)
  expect(txnAnswer({ header: header(4), succeeded: true }).succeeded).toBe(true)
})

test("an answer without header or revision is none", () => {
  for (const fields of [{}, { header: {} }, { header: { revision: "0" } }, { header: 1 }]) {
    expect(() => rangeAnswer(fields)).toThrow(LariatError)
    expect(() => txnAnswer(fields)).toThrow(LariatError)
  }
  const nameless = { ...kv("a", "1", 2), key: undefined }
  expect(() => rangeAnswer({ header: header(2), kvs: [nameless] })).toThrow("missing")
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
  expect(watchAnswer(refused)).toMatchObject({ canceled: true, compactRevision: 5 })
})

test("whatever comes is an answer or an error of ours", () => {
  const shape = fc.record(
    {
      header: fc.oneof(fc.constant(header(3)), fc.jsonValue()),
      kvs: fc.jsonValue(),
      events: fc.oneof(
        fc.array(fc.record({ kv: fc.jsonValue(), type: fc.jsonValue() })),
        fc.jsonValue(),
      ),
      succeeded: fc.jsonValue(),
      created: fc.jsonValue(),
      compact_revision: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(shape, (fields) => {
      for (const read of [rangeAnswer, txnAnswer, watchAnswer]) {
        try {
          read(fields)
        } catch (error) {
          expect(error).toBeInstanceOf(LariatError)
        }
      }
    }),
  )
})
