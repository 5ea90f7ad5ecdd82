/** Tables, chains and rules of nftables: messages and what the kernel answers. */

import type { Attributes } from "../attribute.ts"
import { NLM_F_APPEND, NLM_F_CREATE } from "../constants.ts"
import type { Message, MessageWriter } from "../message.ts"
import * as n from "./constants.ts"
import type { Expression } from "./expression.ts"
import { readExpressions, writeExpressions } from "./expression_codec.ts"
import { missing, nest, nftMessage, parseNft } from "./message.ts"
import { commentField, commentOf, encodeUserdata } from "./userdata.ts"

/** Where an object lives. */
export interface TableRef {
  /** NFPROTO_* */
  readonly family: number
  readonly table: string
}

export interface Table extends TableRef {
  /** NFT_TABLE_F_*; 0 in tables that see packets. */
  readonly flags: number
  /** Kernels before 5.10 do not keep it. */
  readonly comment?: string | undefined
}

/** Where the kernel calls a base chain. */
export interface Hook {
  /** `filter`, `nat` or `route`. */
  readonly type: string
  /** NF_INET_* */
  readonly hook: number
  /** Lower runs first; signed. */
  readonly priority: number
  /** NF_ACCEPT or NF_DROP. */
  readonly policy: number
}

export interface Chain {
  readonly name: string
  /** Undefined: a chain that rules jump to. */
  readonly base?: Hook | undefined
  readonly comment?: string | undefined
}

export interface Rule {
  readonly chain: string
  readonly expressions: readonly Expression[]
  readonly comment?: string | undefined
}

const FAMILY_NAMES: Readonly<Record<number, string>> = {
  [n.NFPROTO_INET]: "inet",
  [n.NFPROTO_IPV4]: "ip",
  [n.NFPROTO_BRIDGE]: "bridge",
  [n.NFPROTO_IPV6]: "ip6",
}

/** A rule where somebody put it. */
export interface PlacedRule extends Rule {
  /** The same until it is deleted. */
  readonly handle: bigint
}

/** "table inet lariat", for errors. */
export function describeTable({ family, table }: TableRef): string {
  return `table ${FAMILY_NAMES[family] ?? `of family ${family}`} ${table}`
}

function comment(writer: MessageWriter, type: number, field: number, text?: string): void {
  if (text !== undefined) writer.attr(type, encodeUserdata([commentField(field, text)]))
}

/** Makes a table; one that exists already stays. */
export function newTable(table: Table): MessageWriter {
  const operation = `make ${describeTable(table)}`
  const writer = nftMessage(n.NFT_MSG_NEWTABLE, table.family, { operation })
  writer.attrString(n.NFTA_TABLE_NAME, table.table).attrU32be(n.NFTA_TABLE_FLAGS, table.flags)
  comment(writer, n.NFTA_TABLE_USERDATA, n.NFTNL_UDATA_TABLE_COMMENT, table.comment)
  return writer
}

/** Deletes a table and all that is in it. */
export function deleteTable(ref: TableRef): MessageWriter {
  const operation = `delete ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_DELTABLE, ref.family, { operation })
  return writer.attrString(n.NFTA_TABLE_NAME, ref.table)
}

/** Asks for one table; the kernel answers ENOENT where it is not. */
export function getTable(ref: TableRef): MessageWriter {
  const operation = `read ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_GETTABLE, ref.family, { operation })
  return writer.attrString(n.NFTA_TABLE_NAME, ref.table)
}

/** @throws LariatError code `decode` */
export function parseTable(message: Message): Table {
  const { family, attributes } = parseNft(message)
  return {
    family,
    table: attributes.text(n.NFTA_TABLE_NAME) ?? missing("table name"),
    flags: attributes.u32be(n.NFTA_TABLE_FLAGS) ?? 0,
    comment: commentOf(attributes.get(n.NFTA_TABLE_USERDATA), n.NFTNL_UDATA_TABLE_COMMENT),
  }
}

/** Makes a chain. */
export function newChain(ref: TableRef, chain: Chain): MessageWriter {
  const { family, table } = ref
  const operation = `make chain ${chain.name} of ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_NEWCHAIN, family, { operation, flags: NLM_F_CREATE })
  writer.attrString(n.NFTA_CHAIN_TABLE, table).attrString(n.NFTA_CHAIN_NAME, chain.name)
  const { base } = chain
  if (base !== undefined) {
    writer.attrString(n.NFTA_CHAIN_TYPE, base.type).attrU32be(n.NFTA_CHAIN_POLICY, base.policy)
    nest(writer, n.NFTA_CHAIN_HOOK, () => {
      writer.attrU32be(n.NFTA_HOOK_HOOKNUM, base.hook)
      writer.attrU32be(n.NFTA_HOOK_PRIORITY, base.priority >>> 0)
    })
  }
  comment(writer, n.NFTA_CHAIN_USERDATA, n.NFTNL_UDATA_CHAIN_COMMENT, chain.comment)
  return writer
}

/** Asks for one chain, or as a dump for all chains of the family. */
export function getChain(ref: TableRef, chain?: string): MessageWriter {
  const operation = `read ${chain === undefined ? "chains" : `chain ${chain}`} of ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_GETCHAIN, ref.family, { operation })
  if (chain === undefined) return writer
  return writer.attrString(n.NFTA_CHAIN_TABLE, ref.table).attrString(n.NFTA_CHAIN_NAME, chain)
}

/** @throws LariatError code `decode` */
export function parseChain(message: Message): Chain & TableRef {
  const { family, attributes } = parseNft(message)
  return {
    family,
    table: attributes.text(n.NFTA_CHAIN_TABLE) ?? missing("table name"),
    name: attributes.text(n.NFTA_CHAIN_NAME) ?? missing("chain name"),
    base: attributes.has(n.NFTA_CHAIN_HOOK) ? parseHook(attributes) : undefined,
    comment: commentOf(attributes.get(n.NFTA_CHAIN_USERDATA), n.NFTNL_UDATA_CHAIN_COMMENT),
  }
}

function parseHook(chain: Attributes): Hook {
  const hook = chain.nested(n.NFTA_CHAIN_HOOK)
  return {
    type: chain.text(n.NFTA_CHAIN_TYPE) ?? missing("chain type"),
    hook: hook.u32be(n.NFTA_HOOK_HOOKNUM) ?? missing("hook"),
    priority: (hook.u32be(n.NFTA_HOOK_PRIORITY) ?? missing("priority")) | 0,
    policy: chain.u32be(n.NFTA_CHAIN_POLICY) ?? missing("policy"),
  }
}

/**
 * Adds a rule at the end of its chain.
 *
 * @param options.first at its beginning instead. Default false
 */
export function newRule(
  ref: TableRef,
  rule: Rule,
  { first = false }: { readonly first?: boolean } = {},
): MessageWriter {
  const what = rule.comment === undefined ? "a rule" : `the rule "${rule.comment}"`
  const operation = `add ${what} to chain ${rule.chain} of ${describeTable(ref)}`
  const flags = first ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_APPEND
  const writer = nftMessage(n.NFT_MSG_NEWRULE, ref.family, { operation, flags })
  writer.attrString(n.NFTA_RULE_TABLE, ref.table).attrString(n.NFTA_RULE_CHAIN, rule.chain)
  nest(writer, n.NFTA_RULE_EXPRESSIONS, () => writeExpressions(writer, rule.expressions))
  comment(writer, n.NFTA_RULE_USERDATA, n.NFTNL_UDATA_RULE_COMMENT, rule.comment)
  return writer
}

/** Deletes one rule. */
export function deleteRule(ref: TableRef, { chain, handle }: PlacedRule): MessageWriter {
  const operation = `delete a rule of chain ${chain} of ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_DELRULE, ref.family, { operation })
  writer.attrString(n.NFTA_RULE_TABLE, ref.table).attrString(n.NFTA_RULE_CHAIN, chain)
  return writer.attrU64be(n.NFTA_RULE_HANDLE, handle)
}

/** Deletes all rules of a chain. */
export function deleteRules(ref: TableRef, chain: string): MessageWriter {
  const operation = `delete the rules of chain ${chain} of ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_DELRULE, ref.family, { operation })
  return writer.attrString(n.NFTA_RULE_TABLE, ref.table).attrString(n.NFTA_RULE_CHAIN, chain)
}

/** Asks, as a dump, for all rules of a table, chain by chain in their order. */
export function getRules(ref: TableRef): MessageWriter {
  const operation = `read the rules of ${describeTable(ref)}`
  const writer = nftMessage(n.NFT_MSG_GETRULE, ref.family, { operation })
  return writer.attrString(n.NFTA_RULE_TABLE, ref.table)
}

/** @throws LariatError code `decode` */
export function parseRule(message: Message): Rule & TableRef {
  const { family, attributes } = parseNft(message)
  return {
    family,
    table: attributes.text(n.NFTA_RULE_TABLE) ?? missing("table name"),
    chain: attributes.text(n.NFTA_RULE_CHAIN) ?? missing("chain name"),
    expressions: readExpressions(attributes.list(n.NFTA_RULE_EXPRESSIONS)),
    comment: commentOf(attributes.get(n.NFTA_RULE_USERDATA), n.NFTNL_UDATA_RULE_COMMENT),
  }
}

/** @throws LariatError code `decode` */
export function parsePlacedRule(message: Message): PlacedRule & TableRef {
  const handle = parseNft(message).attributes.u64be(n.NFTA_RULE_HANDLE) ?? missing("handle")
  return { ...parseRule(message), handle }
}
