import { expect, test } from "bun:test"
import { encode, type ResourceRecord } from "dns-packet"
import fc from "fast-check"
import { queryFor } from "../../test/fixtures/dns/server_fixture.ts"
import { checkMessage, isWholeName } from "./message.ts"
import { wholeName } from "./name.ts"

const QUERY = queryFor("example.com")

function response(answers: readonly ResourceRecord[], more = {}): Uint8Array {
  const questions = [{ name: "example.com", type: "A" }]
  return encode({ type: "response", id: 1, flags: 0x0180, questions, answers, ...more })
}

/** The rest of a message behind the question, counts given. */
function raw(answers: number, ...bytes: readonly number[]): Uint8Array {
  const head = response([])
  head[7] = answers
  return Uint8Array.from([...head, ...bytes])
}

const A: ResourceRecord = { name: "example.com", type: "A", ttl: 300, data: "192.0.2.1" }
const FIXED_A = [0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]

test("a good answer: records counted, TTLs found, what is additional left out", () => {
  const opt: ResourceRecord = {
    type: "OPT",
    name: ".",
    udpPayloadSize: 1232,
    flags: 0,
    options: [],
  }
  const extra: ResourceRecord = { name: "x.org", type: "A", ttl: 9, data: "192.0.2.9" }
  const bytes = response([A, { ...A, ttl: 60 }], { additionals: [extra, opt] })
  const message = checkMessage(bytes, QUERY, false)
  expect(message).toMatchObject({ counts: [2, 0, 0], rcode: 0, ttlSeconds: 60, isTruncated: false })
  expect(message?.bytes).toHaveLength(bytes.length - 11 - 21)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  expect(message?.ttls.map((at) => view.getUint32(at))).toEqual([300, 60])
})

const CNAME: ResourceRecord = { name: "example.com", type: "CNAME", ttl: 9, data: "cdn.test" }
const SOA_DATA = { mname: "ns.test", rname: "a.test", serial: 1, minimum: 60 }
const SOA: ResourceRecord = { name: "test", type: "SOA", ttl: 60, data: SOA_DATA }
const counted = (answers: readonly ResourceRecord[], more = {}) =>
  checkMessage(response(answers, more), QUERY, false)?.counts

test("what is not of the question, or of what it leads to, is left out with all that follows", () => {
  const good = { ...A, name: "cdn.TEST" }
  const evil = { ...A, name: "bank.example" }
  expect(counted([CNAME, good, evil])).toEqual([2, 0, 0])
  expect(counted([CNAME, evil, good])).toEqual([1, 0, 0])
  expect(counted([A, good])).toEqual([1, 0, 0])
  expect(counted([good])).toBeUndefined()
  expect(counted([A], { additionals: [evil] })).toEqual([1, 0, 0])
  const ns = { name: "com", type: "NS", ttl: 9, data: "ns.com" } as const
  expect(counted([A], { authorities: [ns, { ...ns, name: "example" }, ns] })).toEqual([1, 1, 0])
  const above = { ...CNAME, type: "DNAME", name: "com" } as const
  expect(counted([above, CNAME, good])).toEqual([3, 0, 0])
  expect(counted([{ ...above, name: "org" }, CNAME, good])).toBeUndefined()
})

test("that a name is not there is said by a zone above it, or above what it leads to", () => {
  const missing = (answers: readonly ResourceRecord[], name: string) =>
    checkMessage(
      response(answers, { flags: 0x0183, authorities: [{ ...SOA, name }] }),
      QUERY,
      false,
    )
  for (const zone of ["com", "example.com"]) expect(missing([], zone)?.ttlSeconds).toBe(60)
  expect(missing([CNAME], "test")).toMatchObject({ counts: [1, 1, 0], ttlSeconds: 9 })
  for (const zone of ["test", "x.example.com", "ample.com"]) {
    expect(missing([], zone)).toMatchObject({ counts: [0, 0, 0], ttlSeconds: 0 })
  }
})

test("a chain of names has an end", () => {
  const chain = Array.from({ length: 100 }, (_, n) => ({
    ...CNAME,
    name: n === 0 ? "example.com" : `n${n}.test`,
    data: `n${n + 1}.test`,
  }))
  expect(counted(chain)).toEqual([15, 0, 0])
})

test("a TTL with its highest bit set is none", () => {
  const bytes = response([{ ...A, ttl: 0x8000_0000 }])
  expect(checkMessage(bytes, QUERY, false)?.ttlSeconds).toBe(0)
})

test("names with pointers: to what is before them, and no further", () => {
  expect(checkMessage(raw(1, 0xc0, 12, ...FIXED_A), QUERY, false)).toBeDefined()
  // To itself, forwards, into the header, past the end.
  for (const target of [29, 60, 4, 0x3f]) {
    expect(checkMessage(raw(1, 0xc0, target, ...FIXED_A), QUERY, false)).toBeUndefined()
  }
  // A label of a kind that does not exist (RFC 6891 §5).
  expect(checkMessage(raw(1, 0x41, 12, ...FIXED_A), QUERY, false)).toBeUndefined()
})

test("a bomb of pointers to pointers is refused", () => {
  const bytes: number[] = Array(12).fill(0)
  bytes.push(63, ...Array(63).fill(97), 0)
  let target = 12
  let refused = false
  for (let step = 0; step < 100; step++) {
    const at = bytes.length
    bytes.push(0xc0 | (target >> 8), target & 255)
    refused = !isWholeName(Uint8Array.from(bytes), at)
    target = at
    if (refused) break
  }
  expect(refused).toBe(true)
  // Labels that pointers add up to more than 255 bytes.
  const long = [...Array(12).fill(0), 63, ...Array(63).fill(97), 0]
  for (let step = 0; step < 3; step++) {
    long.push(63, ...Array(63).fill(98), 0xc0, step === 0 ? 12 : long.length - 66)
  }
  expect(isWholeName(Uint8Array.from(long), 12 + 65)).toBe(true)
  expect(isWholeName(Uint8Array.from(long), 12 + 65 + 2 * 66)).toBe(false)
})

test("an answer cut off in TC is its question alone", () => {
  const bytes = response([A, A], { flags: 0x0380 }).subarray(0, 40)
  expect(checkMessage(bytes, QUERY, false)).toMatchObject({ isTruncated: true, counts: [0, 0, 0] })
})

test("the question must be the one that was asked, in its case where that counts", () => {
  const bytes = response([A])
  const shouted = queryFor("EXAMPLE.com")
  expect(checkMessage(bytes, shouted, true)).toBeDefined()
  expect(checkMessage(bytes, shouted, false)).toBeUndefined()
  expect(checkMessage(bytes, queryFor("example.com", "AAAA"), true)).toBeUndefined()
  // "[" and "{" differ as letters do, and are none.
  const bracket = encode({ type: "response", id: 1, questions: [{ name: "a[", type: "A" }] })
  expect(checkMessage(bracket, queryFor("a{"), true)).toBeUndefined()
})

const label = fc.stringMatching(/^[a-z]{1,9}$/)
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."))
const record = fc.oneof(
  fc.record({ name, type: fc.constant("A"), ttl: fc.nat(9999), data: fc.ipV4() }),
  fc.record({ name, type: fc.constant("CNAME"), ttl: fc.nat(9999), data: name }),
  fc.record({
    name,
    type: fc.constant("MX"),
    ttl: fc.nat(9999),
    data: fc.record({ preference: fc.nat(9), exchange: name }),
  }),
  fc.record({ name, type: fc.constant("TXT"), ttl: fc.nat(9999), data: fc.constant("text") }),
)

test("what dns-packet writes is whole; names come out as they went in", () => {
  const asked = fc.mixedCase(fc.constant("example.com"))
  const ofQuestion = fc.tuple(record, asked).map(([one, name]) => ({ ...one, name }))
  fc.assert(
    fc.property(fc.array(ofQuestion, { maxLength: 6 }), (answers) => {
      const bytes = response(answers)
      const message = checkMessage(bytes, QUERY, false)
      expect(message?.counts[0]).toBe(answers.length)
      for (const [index, at] of message?.ttls.entries() ?? []) {
        const owner = encode({
          type: "query",
          questions: [{ name: answers[index]?.name ?? "", type: "A" }],
        })
        const expected = owner.subarray(12, -4)
        // TTL is behind type and class, which are behind the name.
        const start = at - 4 - expected.length
        if (start > 0) expect(wholeName(bytes, start)).toEqual(Uint8Array.from(expected))
      }
    }),
  )
})

test("what is taken of a damaged answer lies within it", () => {
  const change = fc.tuple(fc.nat(60), fc.nat(255))
  const looked = fc.array(record, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(
      looked,
      fc.array(change, { maxLength: 3 }),
      fc.nat(300),
      (answers, changes, length) => {
        const bytes = response(answers).slice(0, 29 + length)
        for (const [at, value] of changes) if (29 + at < bytes.length) bytes[29 + at] = value
        const message = checkMessage(bytes, QUERY, true)
        if (message === undefined) return
        // Every record lies within the message, one behind the other.
        const ends = message.ttls.map(
          (at) => at + 6 + (((bytes[at + 4] ?? 0) << 8) | (bytes[at + 5] ?? 0)),
        )
        expect(ends.every((end) => end <= bytes.length)).toBe(true)
        expect(ends.toSorted((a, b) => a - b)).toEqual(ends)
        expect(message.bytes.length).toBeLessThanOrEqual(bytes.length)
      },
    ),
    { numRuns: 500 },
  )
})
