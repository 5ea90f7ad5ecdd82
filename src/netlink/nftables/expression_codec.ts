/** Expressions of nftables rules to and from attributes (NFTA_RULE_EXPRESSIONS). */

import { type Attribute, type Attributes, parseAttributes } from "../attribute.ts"
import type { MessageWriter } from "../message.ts"
import * as n from "./constants.ts"
import type { Expression, Limit, Verdict } from "./expression.ts"
import {
  COUNT,
  type Codec,
  DATA,
  FOREIGN,
  field,
  implied,
  nothing,
  oneOf,
  optional,
  type Part,
  repeated,
  TEXT,
  U8,
  U32,
  U64,
  unless,
} from "./expression_field.ts"
import { missing, nest } from "./message.ts"

type Known = Exclude<Expression, { kind: "other" }>

/** An expression as the kernel has it. */
interface Layout<E> {
  /** `name` of struct nft_expr_type. */
  readonly name: string
  /** In the order that `nft` writes them in. */
  readonly parts: readonly Part<E>[]
}

const VERDICTS: readonly (readonly [Verdict["code"], number])[] = [
  ["drop", n.NF_DROP],
  ["accept", n.NF_ACCEPT],
  ["continue", n.NFT_CONTINUE],
  ["jump", n.NFT_JUMP],
  ["goto", n.NFT_GOTO],
  ["return", n.NFT_RETURN],
]

const VERDICT: Codec<Verdict> = {
  write(writer, type, verdict) {
    const code = VERDICTS.find(([name]) => name === verdict.code)?.[1] ?? n.NFT_CONTINUE
    nest(writer, type, () =>
      nest(writer, n.NFTA_DATA_VERDICT, () => {
        writer.attrU32be(n.NFTA_VERDICT_CODE, code >>> 0)
        if ("chain" in verdict) writer.attrString(n.NFTA_VERDICT_CHAIN, verdict.chain)
      }),
    )
  },
  read(attributes, type) {
    const verdict = attributes.nested(type).nested(n.NFTA_DATA_VERDICT)
    const number = verdict.u32be(n.NFTA_VERDICT_CODE)
    const code = VERDICTS.find((row) => row[1] >>> 0 === number)?.[0]
    if (code === undefined) return FOREIGN
    if (code !== "jump" && code !== "goto") return { code }
    return { code, chain: verdict.text(n.NFTA_VERDICT_CHAIN) ?? missing("chain of a verdict") }
  },
}

/** Registers of the first and the last port, in this attribute and the next. */
const PORTS: Codec<{ readonly min: number; readonly max: number } | undefined> = {
  write(writer, type, ports) {
    if (ports !== undefined) writer.attrU32be(type, ports.min).attrU32be(type + 1, ports.max)
  },
  read(attributes, type) {
    const min = attributes.u32be(type)
    return min === undefined ? undefined : { min, max: attributes.u32be(type + 1) ?? min }
  },
}

const LIMIT: Codec<Limit> = {
  write: (writer, type, limit) => nest(writer, type, () => writeExpression(writer, limit)),
  read(attributes, type) {
    const limit = attributes.has(type) ? readExpression(attributes.nested(type)) : undefined
    return limit?.kind === "rate-over" || limit?.kind === "connections-over" ? limit : FOREIGN
  },
}

const always = (type: number, value: number): Part<unknown> => implied(type, U32, () => value)

/** Some share a name: what is none is looked at as the next. */
const LAYOUTS: { readonly [K in Known["kind"]]: Layout<Extract<Known, { kind: K }>> } = {
  // Without a target it sets something from a register.
  meta: {
    name: "meta",
    parts: [field("key", n.NFTA_META_KEY, U32), field("register", n.NFTA_META_DREG, U32)],
  },
  // Without a target it writes to the packet; later kernels know more bases (inner headers).
  payload: {
    name: "payload",
    parts: [
      field("register", n.NFTA_PAYLOAD_DREG, U32),
      field("base", n.NFTA_PAYLOAD_BASE, oneOf(n.PAYLOAD_BASES)),
      field("offset", n.NFTA_PAYLOAD_OFFSET, U32),
      field("length", n.NFTA_PAYLOAD_LEN, U32),
    ],
  },
  cmp: {
    name: "cmp",
    parts: [
      field("register", n.NFTA_CMP_SREG, U32),
      field("op", n.NFTA_CMP_OP, oneOf(n.CMP_OPS)),
      field("value", n.NFTA_CMP_DATA, DATA),
    ],
  },
  range: {
    name: "range",
    parts: [
      field("register", n.NFTA_RANGE_SREG, U32),
      // NFT_RANGE_EQ, NFT_RANGE_NEQ
      field("negate", n.NFTA_RANGE_OP, oneOf([false, true])),
      field("from", n.NFTA_RANGE_FROM_DATA, DATA),
      field("to", n.NFTA_RANGE_TO_DATA, DATA),
    ],
  },
  // Others are shifts, and since Linux 6.13 operations between two registers.
  bitwise: {
    name: "bitwise",
    parts: [
      field("source", n.NFTA_BITWISE_SREG, U32),
      field("target", n.NFTA_BITWISE_DREG, U32),
      always(n.NFTA_BITWISE_OP, n.NFT_BITWISE_MASK_XOR),
      repeated(n.NFTA_BITWISE_LEN, ({ mask }) => mask.byteLength),
      field("mask", n.NFTA_BITWISE_MASK, DATA),
      field("xor", n.NFTA_BITWISE_XOR, DATA),
    ],
  },
  lookup: {
    name: "lookup",
    parts: [
      field("register", n.NFTA_LOOKUP_SREG, U32),
      field("target", n.NFTA_LOOKUP_DREG, optional(U32)),
      field("set", n.NFTA_LOOKUP_SET, TEXT),
      field("setId", n.NFTA_LOOKUP_SET_ID, optional(U32)),
      // NFT_LOOKUP_F_INV
      field("negate", n.NFTA_LOOKUP_FLAGS, unless(false, oneOf([false, true]))),
    ],
  },
  verdict: {
    name: "immediate",
    parts: [
      always(n.NFTA_IMMEDIATE_DREG, n.NFT_REG_VERDICT),
      field("verdict", n.NFTA_IMMEDIATE_DATA, VERDICT),
    ],
  },
  immediate: {
    name: "immediate",
    parts: [
      field("register", n.NFTA_IMMEDIATE_DREG, U32),
      field("value", n.NFTA_IMMEDIATE_DATA, DATA),
    ],
  },
  counter: {
    name: "counter",
    parts: [
      field("bytes", n.NFTA_COUNTER_BYTES, unless(0n, U64)),
      field("packets", n.NFTA_COUNTER_PACKETS, unless(0n, U64)),
    ],
  },
  masquerade: {
    name: "masq",
    parts: [
      field("flags", n.NFTA_MASQ_FLAGS, unless(0, U32)),
      field("ports", n.NFTA_MASQ_REG_PROTO_MIN, PORTS),
    ],
  },
  fib: {
    name: "fib",
    parts: [
      field("flags", n.NFTA_FIB_FLAGS, U32),
      field("result", n.NFTA_FIB_RESULT, U32),
      field("register", n.NFTA_FIB_DREG, U32),
    ],
  },
  route: {
    name: "rt",
    parts: [field("key", n.NFTA_RT_KEY, U32), field("register", n.NFTA_RT_DREG, U32)],
  },
  "to-network": {
    name: "byteorder",
    parts: [
      field("register", n.NFTA_BYTEORDER_SREG, U32),
      implied(n.NFTA_BYTEORDER_DREG, U32, ({ register }) => register),
      always(n.NFTA_BYTEORDER_OP, n.NFT_BYTEORDER_HTON),
      field("length", n.NFTA_BYTEORDER_LEN, U32),
      field("size", n.NFTA_BYTEORDER_SIZE, U32),
    ],
  },
  // Without a source it reads, or removes, an option; other operations are of other protocols.
  "set-tcp-option": {
    name: "exthdr",
    parts: [
      field("register", n.NFTA_EXTHDR_SREG, U32),
      field("option", n.NFTA_EXTHDR_TYPE, U8),
      field("offset", n.NFTA_EXTHDR_OFFSET, U32),
      field("length", n.NFTA_EXTHDR_LEN, U32),
      always(n.NFTA_EXTHDR_OP, n.NFT_EXTHDR_OP_TCPOPT),
      nothing(n.NFTA_EXTHDR_FLAGS, U32),
    ],
  },
  "rate-over": {
    name: "limit",
    parts: [
      field("perSecond", n.NFTA_LIMIT_RATE, COUNT),
      implied(n.NFTA_LIMIT_UNIT, COUNT, () => 1),
      field("burst", n.NFTA_LIMIT_BURST, U32),
      // NFT_LIMIT_PKTS, NFT_LIMIT_PKT_BYTES
      field("of", n.NFTA_LIMIT_TYPE, oneOf(["packets", "bytes"])),
      always(n.NFTA_LIMIT_FLAGS, n.NFT_LIMIT_F_INV),
    ],
  },
  "connections-over": {
    name: "connlimit",
    parts: [
      field("count", n.NFTA_CONNLIMIT_COUNT, U32),
      always(n.NFTA_CONNLIMIT_FLAGS, n.NFT_CONNLIMIT_F_INV),
    ],
  },
  // Others are maps, elements with a time of their own, and what is done when the set is full.
  "limit-each": {
    name: "dynset",
    parts: [
      field("register", n.NFTA_DYNSET_SREG_KEY, U32),
      // NFT_DYNSET_OP_ADD, NFT_DYNSET_OP_UPDATE: gives an element that is there its whole time again
      field("renew", n.NFTA_DYNSET_OP, oneOf([false, true])),
      field("set", n.NFTA_DYNSET_SET_NAME, TEXT),
      field("setId", n.NFTA_DYNSET_SET_ID, optional(U32)),
      field("limit", n.NFTA_DYNSET_EXPR, LIMIT),
      nothing(n.NFTA_DYNSET_SREG_DATA, U32),
      nothing(n.NFTA_DYNSET_TIMEOUT, U64),
      nothing(n.NFTA_DYNSET_FLAGS, U32),
    ],
  },
}

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
  const { name, parts }: Layout<Known> = LAYOUTS[expression.kind]
  writer.attrString(n.NFTA_EXPR_NAME, name)
  nest(writer, n.NFTA_EXPR_DATA, () => {
    for (const part of parts) part.write(writer, expression)
  })
}

/** Reads the elements of NFTA_RULE_EXPRESSIONS. @throws LariatError code `decode` */
export function readExpressions(list: readonly Attribute[]): Expression[] {
  return list.map(({ payload }) => readExpression(parseAttributes(payload)))
}

function readExpression(attributes: Attributes): Expression {
  const name = attributes.text(n.NFTA_EXPR_NAME) ?? missing("expression name")
  const data = attributes.nested(n.NFTA_EXPR_DATA)
  for (const [kind, layout] of Object.entries(LAYOUTS)) {
    const expression: Record<string, unknown> = { kind }
    const isIt = layout.name === name && layout.parts.every((part) => part.read(data, expression))
    if (isIt) return expression as unknown as Expression
  }
  return { kind: "other", name, data: attributes.get(n.NFTA_EXPR_DATA) ?? new Uint8Array() }
}
