import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { parseAttributeList } from "../attribute.ts"
import { CMP_OPS, PAYLOAD_BASES } from "./constants.ts"
import type { Expression, Verdict } from "./expression.ts"
import * as e from "./expression.ts"
import { readExpressions, writeExpressions } from "./expression_codec.ts"
import { nftMessage } from "./message.ts"

/** struct nlmsghdr and struct nfgenmsg. */
const HEADER_BYTES = 20

function roundTrip(expressions: readonly Expression[]): Expression[] {
  const writer = nftMessage(0, 0, { operation: "test" })
  writeExpressions(writer, expressions)
  return readExpressions(parseAttributeList(writer.finish(0).slice(HEADER_BYTES)))
}

const u32 = fc.integer({ min: 0, max: 0xffffffff })
const value = fc.uint8Array({ minLength: 1, maxLength: 64 })
const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/)
const kind = <K extends Expression["kind"]>(text: K): fc.Arbitrary<K> => fc.constant(text)
const verdict: fc.Arbitrary<Verdict> = fc.oneof(
  fc.record({ code: fc.constantFrom("accept", "drop", "continue", "return") }),
  fc.record({ code: fc.constantFrom("jump", "goto"), chain: name }),
)

const expression: fc.Arbitrary<Expression> = fc.oneof(
  fc.record({ kind: kind("meta"), key: u32, register: u32 }),
  fc.record({
    kind: kind("payload"),
    base: fc.constantFrom(...PAYLOAD_BASES),
    offset: u32,
    length: u32,
    register: u32,
  }),
  fc.record({ kind: kind("cmp"), op: fc.constantFrom(...CMP_OPS), value, register: u32 }),
  fc.record({ kind: kind("range"), negate: fc.boolean(), from: value, to: value, register: u32 }),
  fc.record({ kind: kind("bitwise"), source: u32, target: u32, mask: value, xor: value }),
  fc.record({
    kind: kind("lookup"),
    set: name,
    register: u32,
    negate: fc.boolean(),
    target: fc.option(u32, { nil: undefined }),
    setId: fc.option(u32, { nil: undefined }),
  }),
  fc.record({ kind: kind("immediate"), register: u32, value }),
  fc.record({ kind: kind("verdict"), verdict }),
  fc.record({
    kind: kind("counter"),
    packets: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    bytes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  fc.record({
    kind: kind("masquerade"),
    flags: u32,
    ports: fc.option(fc.record({ min: u32, max: u32 }), { nil: undefined }),
  }),
  fc.record({ kind: kind("fib"), result: u32, flags: u32, register: u32 }),
  fc.record({ kind: kind("route"), key: u32, register: u32 }),
  fc.record({ kind: kind("to-network"), register: u32, length: u32, size: u32 }),
  fc.record({
    kind: kind("set-tcp-option"),
    option: fc.integer({ min: 0, max: 255 }),
    offset: u32,
    length: u32,
    register: u32,
  }),
)

test("what is written is read", () => {
  fc.assert(
    fc.property(fc.array(expression, { maxLength: 12 }), (expressions) => {
      expect(roundTrip(expressions)).toEqual(expressions)
    }),
    { numRuns: 1000 },
  )
})

describe("what others write", () => {
  const raw = (text: string, data: Uint8Array): Expression => ({ kind: "other", name: text, data })
  /** An attribute of 8 bytes: a type and a U32. */
  const attribute = (type: number, number: number): number[] => [8, 0, type, 0, 0, 0, 0, number]

  test.each([
    ["an expression that is not known", "ct", attribute(2, 1)],
    ["a byte order from the network's", "byteorder", [1, 2, 3].flatMap((x) => attribute(x, 0))],
    ["an IPv6 extension header", "exthdr", [...attribute(2, 43), ...attribute(7, 1)]],
    ["meta that sets", "meta", [...attribute(2, 3), ...attribute(3, 1)]],
    ["payload that writes", "payload", [...attribute(2, 1), ...attribute(5, 1)]],
    ["payload of an inner header", "payload", [...attribute(1, 1), ...attribute(2, 3)]],
    ["a shift", "bitwise", attribute(6, 1)],
    ["a comparison of later kernels", "cmp", [...attribute(1, 1), ...attribute(2, 6)]],
  ])("%s is kept as it is", (_, text, data) => {
    const expressions = [raw(text, Uint8Array.from(data)), e.counter()]
    expect(roundTrip(expressions)).toEqual(expressions)
  })
})

test("an interface name is cut so that its last byte stays zero", () => {
  expect(e.interfaceName("docker0").toHex()).toBe("646f636b657230000000000000000000")
  expect(e.interfaceName("a".repeat(20)).toHex()).toBe(`${"61".repeat(15)}00`)
})
