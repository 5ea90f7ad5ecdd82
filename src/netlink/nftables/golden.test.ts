/** Messages byte for byte as `nft` sends them, and answers as the kernel gave them to it. */

import { describe, expect, test } from "bun:test"
import addElement from "../../../test/fixtures/nftables/add_element.json" with { type: "json" }
import clamp from "../../../test/fixtures/nftables/clamp.json" with { type: "json" }
import deleteElement from "../../../test/fixtures/nftables/delete_element.json" with {
  type: "json",
}
import dropTable from "../../../test/fixtures/nftables/delete_table.json" with { type: "json" }
import flushChain from "../../../test/fixtures/nftables/flush_chain.json" with { type: "json" }
import limits from "../../../test/fixtures/nftables/limits.json" with { type: "json" }
import list from "../../../test/fixtures/nftables/list.json" with { type: "json" }
import listClamp from "../../../test/fixtures/nftables/list_clamp.json" with { type: "json" }
import listLimits from "../../../test/fixtures/nftables/list_limits.json" with { type: "json" }
import ruleset from "../../../test/fixtures/nftables/ruleset.json" with { type: "json" }
import { parseAttributeList } from "../attribute.ts"
import { NLM_F_REQUEST } from "../constants.ts"
import { type Message, type MessageWriter, parseMessages } from "../message.ts"
import * as n from "./constants.ts"
import { deleteElements, newElements, parseElements, type SetElement } from "./element.ts"
import * as e from "./expression.ts"
import { batch, getGeneration, parseGeneration, parseNft } from "./message.ts"
import { IFNAME_KEY, IPV4_KEY, IPV6_KEY, newSet, parseSet, type SetSpec, setFlags } from "./set.ts"
import * as t from "./table.ts"

const REF: t.TableRef = { family: n.NFPROTO_INET, table: "golden" }
const TABLE: t.Table = { ...REF, flags: 0, comment: "a table" }

const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex)
const v4 = (text: string): Uint8Array => Uint8Array.from(text.split("."), Number)
const V6 = (head: string): Uint8Array => bytes(head.padEnd(32, "0"))
const DOCKER0 = e.interfaceName("docker0").toHex()

interface GoldenSet {
  readonly spec: SetSpec & { readonly id: number }
  readonly elements: readonly SetElement[]
}

const SETS: readonly GoldenSet[] = [
  {
    spec: { id: 1, name: "plain4", key: [IPV4_KEY], comment: "a hash" },
    elements: [{ key: v4("10.42.0.2") }, { key: v4("10.42.0.3") }],
  },
  {
    spec: { id: 2, name: "ranges4", key: [IPV4_KEY], interval: true },
    elements: [
      { key: v4("0.0.0.0"), intervalEnd: true },
      { key: v4("10.42.0.0") },
      { key: v4("10.43.0.0"), intervalEnd: true },
      { key: v4("169.254.169.250") },
      { key: v4("169.254.169.251"), intervalEnd: true },
      { key: v4("255.255.255.255"), open: true },
    ],
  },
  {
    spec: { id: 3, name: "ranges6", key: [IPV6_KEY], interval: true },
    elements: [
      { key: V6("00"), intervalEnd: true },
      { key: V6("fd000042") },
      { key: V6("fd0000420000000100"), intervalEnd: true },
      { key: V6("ff"), open: true },
    ],
  },
  {
    spec: { id: 4, name: "pairs4", key: [IPV4_KEY, IFNAME_KEY], interval: true },
    elements: [{ key: bytes(`0a2a0000${DOCKER0}`), keyEnd: bytes(`0a2affff${DOCKER0}`) }],
  },
  {
    spec: { id: 5, name: "pairs6", key: [IPV6_KEY, IPV6_KEY], interval: true },
    elements: [
      {
        key: bytes("fd000042".padEnd(32, "0").repeat(2)),
        keyEnd: bytes("fd00004200000000ffffffffffffffff".repeat(2)),
      },
    ],
  },
  {
    spec: { id: 6, name: "names4", key: [IPV4_KEY], data: IFNAME_KEY },
    elements: [{ key: v4("10.42.0.2"), data: e.interfaceName("eth0") }],
  },
]

const CHAINS: readonly t.Chain[] = [
  { name: "away", comment: "a chain" },
  {
    name: "postrouting",
    base: { type: "nat", hook: n.NF_INET_POST_ROUTING, priority: 99, policy: n.NF_ACCEPT },
  },
]

const PORTS = { min: n.NFT_REG_1, max: n.NFT_REG_2 }
const FULLY = n.NF_NAT_RANGE_PROTO_RANDOM_FULLY
const only = (nfproto: number): e.Expression[] => [
  e.meta(n.NFT_META_NFPROTO),
  e.cmp(Uint8Array.of(nfproto)),
]
const IPV4 = only(n.NFPROTO_IPV4)
const IPV6 = only(n.NFPROTO_IPV6)
const post = (...expressions: e.Expression[]): t.Rule => ({ chain: "postrouting", expressions })
const end = (code: "accept" | "drop" | "continue" | "return") => e.verdict({ code })

/** The rules of the recorded ruleset, in its order. */
const RULES: readonly t.Rule[] = [
  {
    chain: "away",
    comment: "a rule",
    expressions: [
      e.meta(n.NFT_META_L4PROTO),
      e.cmp(Uint8Array.of(6)),
      e.counter(),
      e.immediate(n.NFT_REG_1, e.port(1024)),
      e.immediate(n.NFT_REG_2, e.port(65535)),
      e.masquerade(n.NF_NAT_RANGE_PROTO_SPECIFIED | FULLY, PORTS),
    ],
  },
  { chain: "away", expressions: [e.masquerade(FULLY)] },
  post(e.meta(n.NFT_META_OIFNAME), e.cmp(e.interfaceName("lo")), end("return")),
  post(...IPV4, e.payload("network", 16, 4), e.lookup("ranges4", { setId: 2 }), end("accept")),
  post(
    ...IPV6,
    e.payload("network", 24, 16),
    e.lookup("ranges6", { setId: 3, negate: true }),
    end("drop"),
  ),
  post(
    ...IPV4,
    e.payload("network", 12, 4),
    e.meta(n.NFT_META_OIFNAME, n.NFT_REG32_01),
    e.lookup("pairs4", { setId: 4 }),
    e.verdict({ code: "jump", chain: "away" }),
  ),
  post(
    ...IPV6,
    e.payload("network", 8, 16),
    e.payload("network", 24, 16, n.NFT_REG_2),
    e.lookup("pairs6", { setId: 5 }),
    e.verdict({ code: "goto", chain: "away" }),
  ),
  post(
    ...IPV4,
    e.payload("network", 12, 4),
    e.bitwiseAnd(v4("255.255.0.0")),
    e.cmp(v4("10.42.0.0")),
    end("accept"),
  ),
  post(e.addressType(n.NFTA_FIB_F_DADDR), e.cmp(bytes("02000000")), end("continue")),
  post(
    e.meta(n.NFT_META_L4PROTO),
    e.range(Uint8Array.of(6), Uint8Array.of(17), { negate: true }),
    end("return"),
  ),
]

/** The last datagram that `nft` sent: its transaction. */
function transaction(recording: { readonly sent: readonly string[] }): Message[] {
  return parseMessages(bytes(recording.sent.at(-1) ?? ""))
}

/** What we send, as the kernel reads it. */
function ours(messages: readonly MessageWriter[]): Message[] {
  return messages.flatMap((message) => parseMessages(message.finish(0, NLM_F_REQUEST).slice()))
}

/**
 * One line per message. `nft` also writes down the expressions by which a concatenation was
 * declared, which we do not; so user data of sets is compared only where `exact`.
 */
function lines(messages: readonly Message[], exact = true): string[] {
  return messages.map(({ type, flags, payload }) => {
    const isSet = type === ((n.NFNL_SUBSYS_NFTABLES << 8) | n.NFT_MSG_NEWSET)
    const rest = payload.subarray(n.NFGENMSG_BYTES)
    const kept = isSet && !exact ? withoutUserdata(rest) : rest.toHex()
    return `${type} ${flags} ${payload.subarray(0, n.NFGENMSG_BYTES).toHex()} ${kept}`
  })
}

function withoutUserdata(attributes: Uint8Array): string {
  return parseAttributeList(attributes)
    .filter(({ type }) => type !== n.NFTA_SET_USERDATA)
    .map(({ type, payload }) => `${type}:${payload.toHex()}`)
    .join(" ")
}

describe("what nft sends", () => {
  const isConcat = ({ spec }: GoldenSet): boolean => spec.key.length > 1

  test("a ruleset", () => {
    const messages = batch([
      t.newTable(TABLE),
      ...CHAINS.map((chain) => t.newChain(REF, chain)),
      ...SETS.flatMap(({ spec, elements }) => [
        newSet(REF, spec),
        ...newElements(REF, spec.name, elements, { setId: spec.id }),
      ]),
      ...RULES.map((rule) => t.newRule(REF, rule)),
    ])
    expect(lines(ours(messages), false)).toEqual(lines(transaction(ruleset), false))
  })

  test.each(SETS.filter((set) => !isConcat(set)))("set $spec.name, user data included", (set) => {
    const recorded = lines(transaction(ruleset))
    expect(recorded).toContain(lines(ours([newSet(REF, set.spec)]))[0] ?? "")
  })

  test("an added element", () => {
    const messages = batch(newElements(REF, "plain4", [{ key: v4("10.42.0.9") }], { setId: 1 }))
    expect(lines(ours(messages))).toEqual(lines(transaction(addElement)))
  })

  test("a deleted element", () => {
    const messages = batch(deleteElements(REF, "plain4", [{ key: v4("10.42.0.3") }]))
    expect(lines(ours(messages))).toEqual(lines(transaction(deleteElement)))
  })

  test("a chain without its rules", () => {
    const messages = batch([t.deleteRules(REF, "postrouting")])
    expect(lines(ours(messages))).toEqual(lines(transaction(flushChain)))
  })

  test("a deleted table", () => {
    expect(lines(ours(batch([t.deleteTable(REF)])))).toEqual(lines(transaction(dropTable)))
  })

  test("the question for the generation", () => {
    const first = parseMessages(bytes(list.sent[0] ?? ""))
    expect(ours([getGeneration()])).toEqual(first.map((message) => ({ ...message, seq: 0 })))
  })
})

describe("a clamp of the MSS", () => {
  const plain: t.Table = { ...REF, flags: 0 }
  const chains: readonly t.Chain[] = [
    { name: "clamp" },
    {
      name: "forward",
      base: { type: "filter", hook: n.NF_INET_FORWARD, priority: -150, policy: n.NF_ACCEPT },
    },
  ]
  const rules: readonly t.Rule[] = [
    { chain: "clamp", expressions: e.clampMss() },
    {
      chain: "forward",
      expressions: [
        e.meta(n.NFT_META_L4PROTO),
        e.cmp(Uint8Array.of(6)),
        e.payload("transport", 13, 1),
        e.bitwiseAnd(Uint8Array.of(0x02)),
        e.cmp(Uint8Array.of(0), { op: "neq" }),
        e.verdict({ code: "jump", chain: "clamp" }),
      ],
    },
  ]

  test("is written as nft writes it", () => {
    const messages = batch([
      t.newTable(plain),
      ...chains.map((chain) => t.newChain(REF, chain)),
      ...rules.map((rule) => t.newRule(REF, rule)),
    ])
    expect(lines(ours(messages))).toEqual(lines(transaction(clamp)))
  })

  test("is read as the kernel answers it", () => {
    const answered = listClamp.received
      .flatMap((datagram) => parseMessages(bytes(datagram)))
      .filter(({ type }) => type === ((n.NFNL_SUBSYS_NFTABLES << 8) | n.NFT_MSG_NEWRULE))
      .map(t.parseRule)
    expect(answered).toEqual(rules.map((rule) => ({ ...REF, comment: undefined, ...rule })))
  })
})

describe("limits for each source", () => {
  const plain: t.Table = { ...REF, flags: 0 }
  const sets: readonly SetSpec[] = [
    { id: 1, name: "connections4", key: [IPV4_KEY], dynamic: { size: 65_535 } },
    { id: 2, name: "queries6", key: [IPV6_KEY], dynamic: { size: 65_535, timeoutMs: 60_000 } },
    { id: 3, name: "bytes4", key: [IPV4_KEY], dynamic: { size: 65_535, timeoutMs: 60_000 } },
  ]
  const rules = (withIds: boolean): t.Rule[] => [
    {
      chain: "limits",
      expressions: [
        ...IPV4,
        e.payload("network", 12, 4),
        e.limitEach(
          "connections4",
          { kind: "connections-over", count: 256 },
          withIds ? { setId: 1 } : {},
        ),
        e.counter(),
        end("drop"),
      ],
    },
    {
      chain: "limits",
      expressions: [
        ...IPV6,
        e.payload("network", 8, 16),
        e.limitEach(
          "queries6",
          { kind: "rate-over", of: "packets", perSecond: 1000, burst: 2000 },
          withIds ? { renew: true, setId: 2 } : { renew: true },
        ),
        e.counter(),
        end("drop"),
      ],
    },
    {
      chain: "limits",
      expressions: [
        ...IPV4,
        e.payload("network", 12, 4),
        e.limitEach(
          "bytes4",
          { kind: "rate-over", of: "bytes", perSecond: 500_000, burst: 1000 },
          withIds ? { renew: true, setId: 3 } : { renew: true },
        ),
        e.counter(),
        end("drop"),
      ],
    },
  ]

  test("are written as nft writes them", () => {
    const messages = batch([
      t.newTable(plain),
      t.newChain(REF, { name: "limits" }),
      ...sets.map((set) => newSet(REF, set)),
      ...rules(true).map((rule) => t.newRule(REF, rule)),
    ])
    expect(lines(ours(messages), false)).toEqual(lines(transaction(limits), false))
  })

  test("are read as the kernel answers them", () => {
    const answered = (type: number): Message[] =>
      listLimits.received
        .flatMap((datagram) => parseMessages(bytes(datagram)))
        .filter((message) => message.type === ((n.NFNL_SUBSYS_NFTABLES << 8) | type))
    expect(answered(n.NFT_MSG_NEWRULE).map(t.parseRule)).toEqual(
      rules(false).map((rule) => ({ ...REF, comment: undefined, ...rule })),
    )
    expect(answered(n.NFT_MSG_NEWSET).map((set) => parseSet(set).flags)).toEqual(sets.map(setFlags))
  })
})

describe("what the kernel answers", () => {
  const answers = list.received.flatMap((datagram) => parseMessages(bytes(datagram)))
  const of = (type: number): Message[] =>
    answers.filter((message) => message.type === ((n.NFNL_SUBSYS_NFTABLES << 8) | type))

  test("the generation, twice the same", () => {
    const generations = of(n.NFT_MSG_NEWGEN).map(parseGeneration)
    expect(generations).toEqual([2, 2])
  })

  test("the table", () => {
    expect(of(n.NFT_MSG_NEWTABLE).map(t.parseTable)).toEqual([TABLE])
  })

  test("chains", () => {
    const chains = of(n.NFT_MSG_NEWCHAIN).map(t.parseChain)
    expect<t.Chain[]>(chains).toEqual(
      CHAINS.map((chain) => ({ ...REF, base: undefined, comment: undefined, ...chain })),
    )
  })

  test("rules, without the numbers of the transaction", () => {
    const plain = (rule: t.Rule): t.Rule => ({
      ...REF,
      comment: undefined,
      ...rule,
      expressions: rule.expressions.map((expression) =>
        expression.kind === "lookup" ? { ...expression, setId: undefined } : expression,
      ),
    })
    expect<t.Rule[]>(of(n.NFT_MSG_NEWRULE).map(t.parseRule)).toEqual(RULES.map(plain))
  })

  test("sets", () => {
    const sets = of(n.NFT_MSG_NEWSET).map(parseSet)
    expect(sets.map(({ name, flags, comment }) => ({ name, flags, comment }))).toEqual(
      SETS.map(({ spec }) => ({ name: spec.name, flags: setFlags(spec), comment: spec.comment })),
    )
  })

  test("elements", () => {
    const text = ({ key, keyEnd, intervalEnd = false, data }: SetElement): string =>
      [key.toHex(), keyEnd?.toHex(), intervalEnd, data?.toHex()].join()
    const wanted = SETS.flatMap(({ elements }) => elements.map(text))
    const answered = of(n.NFT_MSG_NEWSETELEM).flatMap(parseElements).map(text)
    expect(answered.toSorted()).toEqual(wanted.toSorted())
  })

  test("all of this family", () => {
    const families = new Set(
      answers
        .filter(({ type }) => type >> 8 === n.NFNL_SUBSYS_NFTABLES)
        .map(parseNft)
        .filter(({ type }) => type !== n.NFT_MSG_NEWGEN)
        .map(({ family }) => family),
    )
    expect(families).toEqual(new Set([n.NFPROTO_INET]))
  })
})
