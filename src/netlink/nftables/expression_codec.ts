/** Expressions of nftables rules to and from attributes (NFTA_RULE_EXPRESSIONS). */

import {
  parseAttributeList,
  parseAttributes,
  readString,
  readU32be,
  readU64be,
} from "../attribute.ts"
import type { MessageWriter } from "../message.ts"
import * as n from "./constants.ts"
import type { Expression, Verdict } from "./expression.ts"
import { nest, readData, required, writeData } from "./message.ts"

type Attributes = ReadonlyMap<number, Uint8Array>

/** The kernel's names of expressions (`name` of struct nft_expr_type). */
const NAMES: Readonly<Record<Exclude<Expression["kind"], "other">, string>> = {
  meta: "meta",
  payload: "payload",
  cmp: "cmp",
  range: "range",
  bitwise: "bitwise",
  lookup: "lookup",
  immediate: "immediate",
  verdict: "immediate",
  counter: "counter",
  masquerade: "masq",
  fib: "fib",
  route: "rt",
  "to-network": "byteorder",
  "set-tcp-option": "exthdr",
  "rate-over": "limit",
  "connections-over": "connlimit",
  "limit-each": "dynset",
}

const RATES = { packets: n.NFT_LIMIT_PKTS, bytes: n.NFT_LIMIT_PKT_BYTES } as const

const VERDICTS: readonly (readonly [Verdict["code"], number])[] = [
  ["drop", n.NF_DROP],
  ["accept", n.NF_ACCEPT],
  ["continue", n.NFT_CONTINUE],
  ["jump", n.NFT_JUMP],
  ["goto", n.NFT_GOTO],
  ["return", n.NFT_RETURN],
]

/** Writes a list of expressions, in the order of attributes that `nft` uses. */
export function writeExpressions(writer: MessageWriter, expressions: readonly Expression[]): void {
  for (const expression of expressions) {
    nest(writer, n.NFTA_LIST_ELEM, () => writeExpression(writer, expression))
  }
}

function writeExpression(writer: MessageWriter, expression: Expression): void {
  if (expression.kind === "other") {
    writer.attrString(n.NFTA_EXPR_NAME, expression.name)
    nest(writer, n.NFTA_EXPR_DATA, () => writer.bytes(expression.data))
    return
  }
  writer.attrString(n.NFTA_EXPR_NAME, NAMES[expression.kind])
  nest(writer, n.NFTA_EXPR_DATA, () => writeBody(writer, expression))
}

function writeBody(w: MessageWriter, e: Exclude<Expression, { kind: "other" }>): void {
  switch (e.kind) {
    case "meta":
      w.attrU32be(n.NFTA_META_KEY, e.key).attrU32be(n.NFTA_META_DREG, e.register)
      break
    case "payload":
      w.attrU32be(n.NFTA_PAYLOAD_DREG, e.register)
      w.attrU32be(n.NFTA_PAYLOAD_BASE, n.PAYLOAD_BASES.indexOf(e.base))
      w.attrU32be(n.NFTA_PAYLOAD_OFFSET, e.offset).attrU32be(n.NFTA_PAYLOAD_LEN, e.length)
      break
    case "cmp":
      w.attrU32be(n.NFTA_CMP_SREG, e.register)
      w.attrU32be(n.NFTA_CMP_OP, n.CMP_OPS.indexOf(e.op))
      writeData(w, n.NFTA_CMP_DATA, e.value)
      break
    case "range":
      w.attrU32be(n.NFTA_RANGE_SREG, e.register)
      w.attrU32be(n.NFTA_RANGE_OP, e.negate ? n.NFT_RANGE_NEQ : n.NFT_RANGE_EQ)
      writeData(w, n.NFTA_RANGE_FROM_DATA, e.from)
      writeData(w, n.NFTA_RANGE_TO_DATA, e.to)
      break
    case "bitwise":
      w.attrU32be(n.NFTA_BITWISE_SREG, e.source).attrU32be(n.NFTA_BITWISE_DREG, e.target)
      w.attrU32be(n.NFTA_BITWISE_OP, n.NFT_BITWISE_MASK_XOR)
      w.attrU32be(n.NFTA_BITWISE_LEN, e.mask.byteLength)
      writeData(w, n.NFTA_BITWISE_MASK, e.mask)
      writeData(w, n.NFTA_BITWISE_XOR, e.xor)
      break
    case "lookup":
      writeLookup(w, e)
      break
    case "immediate":
      w.attrU32be(n.NFTA_IMMEDIATE_DREG, e.register)
      writeData(w, n.NFTA_IMMEDIATE_DATA, e.value)
      break
    case "verdict":
      writeVerdict(w, e.verdict)
      break
    case "counter":
      // A fresh counter is written as `nft` writes it, without attributes.
      if (e.packets === 0n && e.bytes === 0n) break
      w.attrU64be(n.NFTA_COUNTER_BYTES, e.bytes).attrU64be(n.NFTA_COUNTER_PACKETS, e.packets)
      break
    case "masquerade":
      if (e.flags !== 0) w.attrU32be(n.NFTA_MASQ_FLAGS, e.flags)
      if (e.ports === undefined) break
      w.attrU32be(n.NFTA_MASQ_REG_PROTO_MIN, e.ports.min)
      w.attrU32be(n.NFTA_MASQ_REG_PROTO_MAX, e.ports.max)
      break
    case "fib":
      w.attrU32be(n.NFTA_FIB_FLAGS, e.flags).attrU32be(n.NFTA_FIB_RESULT, e.result)
      w.attrU32be(n.NFTA_FIB_DREG, e.register)
      break
    case "route":
      w.attrU32be(n.NFTA_RT_KEY, e.key).attrU32be(n.NFTA_RT_DREG, e.register)
      break
    case "to-network":
      w.attrU32be(n.NFTA_BYTEORDER_SREG, e.register)
      w.attrU32be(n.NFTA_BYTEORDER_DREG, e.register)
      w.attrU32be(n.NFTA_BYTEORDER_OP, n.NFT_BYTEORDER_HTON)
      w.attrU32be(n.NFTA_BYTEORDER_LEN, e.length).attrU32be(n.NFTA_BYTEORDER_SIZE, e.size)
      break
    case "set-tcp-option":
      w.attrU32be(n.NFTA_EXTHDR_SREG, e.register)
      w.attr(n.NFTA_EXTHDR_TYPE, Uint8Array.of(e.option))
      w.attrU32be(n.NFTA_EXTHDR_OFFSET, e.offset).attrU32be(n.NFTA_EXTHDR_LEN, e.length)
      w.attrU32be(n.NFTA_EXTHDR_OP, n.NFT_EXTHDR_OP_TCPOPT)
      break
    case "rate-over":
      w.attrU64be(n.NFTA_LIMIT_RATE, BigInt(e.perSecond)).attrU64be(n.NFTA_LIMIT_UNIT, 1n)
      w.attrU32be(n.NFTA_LIMIT_BURST, e.burst).attrU32be(n.NFTA_LIMIT_TYPE, RATES[e.of])
      w.attrU32be(n.NFTA_LIMIT_FLAGS, n.NFT_LIMIT_F_INV)
      break
    case "connections-over":
      w.attrU32be(n.NFTA_CONNLIMIT_COUNT, e.count)
      w.attrU32be(n.NFTA_CONNLIMIT_FLAGS, n.NFT_CONNLIMIT_F_INV)
      break
    case "limit-each":
      w.attrU32be(n.NFTA_DYNSET_SREG_KEY, e.register)
      w.attrU32be(n.NFTA_DYNSET_OP, e.renew ? n.NFT_DYNSET_OP_UPDATE : n.NFT_DYNSET_OP_ADD)
      w.attrString(n.NFTA_DYNSET_SET_NAME, e.set)
      if (e.setId !== undefined) w.attrU32be(n.NFTA_DYNSET_SET_ID, e.setId)
      nest(w, n.NFTA_DYNSET_EXPR, () => writeExpression(w, e.limit))
      break
  }
}

function writeLookup(w: MessageWriter, e: Expression & { kind: "lookup" }): void {
  w.attrU32be(n.NFTA_LOOKUP_SREG, e.register)
  if (e.target !== undefined) w.attrU32be(n.NFTA_LOOKUP_DREG, e.target)
  w.attrString(n.NFTA_LOOKUP_SET, e.set)
  if (e.setId !== undefined) w.attrU32be(n.NFTA_LOOKUP_SET_ID, e.setId)
  if (e.negate) w.attrU32be(n.NFTA_LOOKUP_FLAGS, n.NFT_LOOKUP_F_INV)
}

function writeVerdict(w: MessageWriter, verdict: Verdict): void {
  const code = VERDICTS.find(([name]) => name === verdict.code)?.[1] ?? n.NFT_CONTINUE
  w.attrU32be(n.NFTA_IMMEDIATE_DREG, n.NFT_REG_VERDICT)
  nest(w, n.NFTA_IMMEDIATE_DATA, () =>
    nest(w, n.NFTA_DATA_VERDICT, () => {
      w.attrU32be(n.NFTA_VERDICT_CODE, code >>> 0)
      if ("chain" in verdict) w.attrString(n.NFTA_VERDICT_CHAIN, verdict.chain)
    }),
  )
}

/** Reads the payload of NFTA_RULE_EXPRESSIONS. @throws LariatError code `decode` */
export function readExpressions(bytes: Uint8Array): Expression[] {
  return parseAttributeList(bytes).map(({ payload }) => readExpression(payload))
}

function readExpression(bytes: Uint8Array): Expression {
  const attributes = parseAttributes(bytes)
  const name = readString(required(attributes, n.NFTA_EXPR_NAME, "expression name"))
  const data = attributes.get(n.NFTA_EXPR_DATA) ?? new Uint8Array()
  // What this codec does not know is other people's, and no error.
  return readBody(name, parseAttributes(data)) ?? { kind: "other", name, data }
}

function readBody(name: string, a: Attributes): Expression | undefined {
  switch (name) {
    case "meta":
      // Without a target it sets something from a register.
      if (!a.has(n.NFTA_META_DREG)) return undefined
      return { kind: "meta", key: u32(a, n.NFTA_META_KEY), register: u32(a, n.NFTA_META_DREG) }
    case "payload":
      return readPayload(a)
    case "cmp":
      return readCmp(a)
    case "range":
      return {
        kind: "range",
        negate: u32(a, n.NFTA_RANGE_OP) === n.NFT_RANGE_NEQ,
        from: value(a, n.NFTA_RANGE_FROM_DATA),
        to: value(a, n.NFTA_RANGE_TO_DATA),
        register: u32(a, n.NFTA_RANGE_SREG),
      }
    case "bitwise":
      return readBitwise(a)
    case "lookup":
      return {
        kind: "lookup",
        set: readString(required(a, n.NFTA_LOOKUP_SET, "set name")),
        register: u32(a, n.NFTA_LOOKUP_SREG),
        negate: ((optional(a, n.NFTA_LOOKUP_FLAGS) ?? 0) & n.NFT_LOOKUP_F_INV) !== 0,
        target: optional(a, n.NFTA_LOOKUP_DREG),
        setId: optional(a, n.NFTA_LOOKUP_SET_ID),
      }
    case "immediate":
      return readImmediate(a)
    case "counter":
      return {
        kind: "counter",
        packets: count(a, n.NFTA_COUNTER_PACKETS),
        bytes: count(a, n.NFTA_COUNTER_BYTES),
      }
    case "masq":
      return readMasquerade(a)
    case "fib":
      return {
        kind: "fib",
        result: u32(a, n.NFTA_FIB_RESULT),
        flags: u32(a, n.NFTA_FIB_FLAGS),
        register: u32(a, n.NFTA_FIB_DREG),
      }
    case "rt":
      return { kind: "route", key: u32(a, n.NFTA_RT_KEY), register: u32(a, n.NFTA_RT_DREG) }
    case "byteorder":
      return readByteorder(a)
    case "exthdr":
      return readExtensionHeader(a)
    case "limit":
      return readRate(a)
    case "connlimit":
      if (optional(a, n.NFTA_CONNLIMIT_FLAGS) !== n.NFT_CONNLIMIT_F_INV) return undefined
      return { kind: "connections-over", count: u32(a, n.NFTA_CONNLIMIT_COUNT) }
    case "dynset":
      return readLimitEach(a)
    default:
      return undefined
  }
}

function readByteorder(a: Attributes): Expression | undefined {
  const register = u32(a, n.NFTA_BYTEORDER_SREG)
  if (u32(a, n.NFTA_BYTEORDER_OP) !== n.NFT_BYTEORDER_HTON) return undefined
  if (u32(a, n.NFTA_BYTEORDER_DREG) !== register) return undefined
  const length = u32(a, n.NFTA_BYTEORDER_LEN)
  return { kind: "to-network", register, length, size: u32(a, n.NFTA_BYTEORDER_SIZE) }
}

function readExtensionHeader(a: Attributes): Expression | undefined {
  const option = a.get(n.NFTA_EXTHDR_TYPE)?.[0]
  const register = optional(a, n.NFTA_EXTHDR_SREG)
  const isTcp = optional(a, n.NFTA_EXTHDR_OP) === n.NFT_EXTHDR_OP_TCPOPT
  // Without a source it reads, or removes, an option; other operations are of other protocols.
  if (option === undefined || register === undefined || !isTcp) return undefined
  if ((optional(a, n.NFTA_EXTHDR_FLAGS) ?? 0) !== 0) return undefined
  const offset = u32(a, n.NFTA_EXTHDR_OFFSET)
  return { kind: "set-tcp-option", option, offset, length: u32(a, n.NFTA_EXTHDR_LEN), register }
}

function readRate(a: Attributes): Expression | undefined {
  const type = optional(a, n.NFTA_LIMIT_TYPE)
  const of = (["packets", "bytes"] as const).find((one) => RATES[one] === type)
  const isOver = optional(a, n.NFTA_LIMIT_FLAGS) === n.NFT_LIMIT_F_INV
  if (of === undefined || !isOver || count(a, n.NFTA_LIMIT_UNIT) !== 1n) return undefined
  const perSecond = Number(count(a, n.NFTA_LIMIT_RATE))
  return { kind: "rate-over", of, perSecond, burst: optional(a, n.NFTA_LIMIT_BURST) ?? 0 }
}

function readLimitEach(a: Attributes): Expression | undefined {
  const each = a.get(n.NFTA_DYNSET_EXPR)
  const op = u32(a, n.NFTA_DYNSET_OP)
  // Maps, elements with a time of their own, and what is done when the set is full.
  const more =
    a.has(n.NFTA_DYNSET_SREG_DATA) ||
    count(a, n.NFTA_DYNSET_TIMEOUT) !== 0n ||
    (optional(a, n.NFTA_DYNSET_FLAGS) ?? 0) !== 0
  if (each === undefined || op > n.NFT_DYNSET_OP_UPDATE || more) return undefined
  const limit = readExpression(each)
  if (limit.kind !== "rate-over" && limit.kind !== "connections-over") return undefined
  return {
    kind: "limit-each",
    set: readString(required(a, n.NFTA_DYNSET_SET_NAME, "set name")),
    register: u32(a, n.NFTA_DYNSET_SREG_KEY),
    renew: op === n.NFT_DYNSET_OP_UPDATE,
    limit,
    setId: optional(a, n.NFTA_DYNSET_SET_ID),
  }
}

function readPayload(a: Attributes): Expression | undefined {
  // Without a target it writes to the packet; later kernels know more bases (inner headers).
  const base = n.PAYLOAD_BASES[u32(a, n.NFTA_PAYLOAD_BASE)]
  if (!a.has(n.NFTA_PAYLOAD_DREG) || base === undefined) return undefined
  return {
    kind: "payload",
    base,
    offset: u32(a, n.NFTA_PAYLOAD_OFFSET),
    length: u32(a, n.NFTA_PAYLOAD_LEN),
    register: u32(a, n.NFTA_PAYLOAD_DREG),
  }
}

function readCmp(a: Attributes): Expression | undefined {
  const op = n.CMP_OPS[u32(a, n.NFTA_CMP_OP)]
  if (op === undefined) return undefined
  const register = u32(a, n.NFTA_CMP_SREG)
  return { kind: "cmp", op, value: value(a, n.NFTA_CMP_DATA), register }
}

function readBitwise(a: Attributes): Expression | undefined {
  // Shifts, and since Linux 6.13 operations between two registers.
  if ((optional(a, n.NFTA_BITWISE_OP) ?? n.NFT_BITWISE_MASK_XOR) !== n.NFT_BITWISE_MASK_XOR) {
    return undefined
  }
  return {
    kind: "bitwise",
    source: u32(a, n.NFTA_BITWISE_SREG),
    target: u32(a, n.NFTA_BITWISE_DREG),
    mask: value(a, n.NFTA_BITWISE_MASK),
    xor: value(a, n.NFTA_BITWISE_XOR),
  }
}

function readImmediate(a: Attributes): Expression | undefined {
  const data = parseAttributes(required(a, n.NFTA_IMMEDIATE_DATA, "data"))
  const bytes = data.get(n.NFTA_DATA_VERDICT)
  if (bytes === undefined) {
    const constant = required(data, n.NFTA_DATA_VALUE, "value")
    return { kind: "immediate", register: u32(a, n.NFTA_IMMEDIATE_DREG), value: constant }
  }
  const verdict = readVerdict(parseAttributes(bytes))
  return verdict === undefined ? undefined : { kind: "verdict", verdict }
}

function readVerdict(a: Attributes): Verdict | undefined {
  const number = u32(a, n.NFTA_VERDICT_CODE) | 0
  const code = VERDICTS.find((row) => row[1] === number)?.[0]
  if (code === undefined) return undefined
  if (code !== "jump" && code !== "goto") return { code }
  return { code, chain: readString(required(a, n.NFTA_VERDICT_CHAIN, "chain of a verdict")) }
}

function readMasquerade(a: Attributes): Expression {
  const min = optional(a, n.NFTA_MASQ_REG_PROTO_MIN)
  const max = optional(a, n.NFTA_MASQ_REG_PROTO_MAX) ?? min
  return {
    kind: "masquerade",
    flags: optional(a, n.NFTA_MASQ_FLAGS) ?? 0,
    ports: min === undefined || max === undefined ? undefined : { min, max },
  }
}

function u32(a: Attributes, type: number): number {
  return readU32be(required(a, type, `attribute ${type} of an expression`))
}

function optional(a: Attributes, type: number): number | undefined {
  const payload = a.get(type)
  return payload === undefined ? undefined : readU32be(payload)
}

function count(a: Attributes, type: number): bigint {
  const payload = a.get(type)
  return payload === undefined ? 0n : readU64be(payload)
}

function value(a: Attributes, type: number): Uint8Array {
  return readData(required(a, type, `attribute ${type} of an expression`))
}
