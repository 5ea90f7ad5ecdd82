/**
 * The rules of a legacy iptables table as the kernel hands them out: one row of entries for all
 * chains, each with its match on addresses, its extensions and its target.
 */

import { LariatError } from "../../errors.ts"

/** What differs between the address families: linux/netfilter_ipv4/ip_tables.h, …_ipv6/ip6_tables.h. */
export interface XtablesLayout {
  /** Bytes of struct ipt_ip or ip6t_ip6 that say which packets are meant, flags last. */
  readonly matchBytes: number
  /** Offset of the flags in it. */
  readonly flagsOffset: number
  /** Offset of target_offset in struct ipt_entry or ip6t_entry; next_offset follows. */
  readonly targetOffset: number
  /** sizeof(struct ipt_entry), sizeof(struct ip6t_entry). */
  readonly entryBytes: number
  /** IPT_F_GOTO, IP6T_F_GOTO: a jump that does not come back here. */
  readonly gotoFlag: number
}

export const IPT_LAYOUT: XtablesLayout = {
  matchBytes: 84,
  flagsOffset: 82,
  targetOffset: 88,
  entryBytes: 112,
  gotoFlag: 0x02,
}

export const IP6T_LAYOUT: XtablesLayout = {
  matchBytes: 133,
  flagsOffset: 131,
  targetOffset: 140,
  entryBytes: 168,
  gotoFlag: 0x04,
}

/** struct xt_entry_match and xt_entry_target: u16 size, char name[29], u8 revision. */
const NAME_OFFSET = 2
const NAME_BYTES = 29
const EXTENSION_BYTES = 32
/** struct xt_comment_info of linux/netfilter/xt_comment.h. */
const COMMENT_BYTES = 256
/** XT_ERROR_TARGET: in front of each chain that is not built in, with its name; and the last entry. */
const ERROR_TARGET = "ERROR"
/** XT_FUNCTION_MAXNAMELEN */
const CHAIN_NAME_BYTES = 30
/** Verdicts of the standard target that lead nowhere, linux/netfilter/x_tables.h; others are offsets. */
const VERDICTS: ReadonlyMap<number, string> = new Map([
  [-1, "DROP"],
  [-2, "ACCEPT"],
  [-4, "QUEUE"],
  [-5, "RETURN"],
])

/** One rule. */
export interface XtablesRule {
  /** A verdict, the chain that it goes to, or an extension's name; none: packets go on. */
  readonly target: string | undefined
  /** Whether what ends in the target chain does not come back to this one. */
  readonly isGoto: boolean
  /** Whether it is for every packet. */
  readonly isForAll: boolean
  readonly comment: string | undefined
}

/** The rules of each chain, in order. That of a built-in chain ends in one for all: its policy. */
export type XtablesChains = ReadonlyMap<string, readonly XtablesRule[]>

/**
 * Reads the entries.
 *
 * @param hooks offsets of the built-in chains, by name
 * @throws LariatError decode
 */
export function parseXtables(
  bytes: Uint8Array,
  layout: XtablesLayout,
  hooks: ReadonlyMap<string, number>,
): XtablesChains {
  const names = new Map([...hooks].map(([name, offset]) => [offset, name]))
  const entries = [...entriesOf(bytes, layout)]
  // A chain's name stands in front of its first rule.
  for (const { chainName, end } of entries) {
    if (chainName !== undefined) names.set(end, chainName)
  }
  const chains = new Map<string, XtablesRule[]>()
  let rules: XtablesRule[] | undefined
  for (const { start, chainName, jump, rule } of entries) {
    const name = names.get(start)
    if (name !== undefined) {
      rules = []
      chains.set(name, rules)
    }
    if (chainName !== undefined) continue
    rules?.push(jump === undefined ? rule : { ...rule, target: names.get(jump) })
  }
  return chains
}

interface Entry {
  readonly start: number
  readonly end: number
  /** What an ERROR target says. */
  readonly chainName: string | undefined
  /** Offset of where the standard target leads. */
  readonly jump: number | undefined
  readonly rule: XtablesRule
}

function* entriesOf(bytes: Uint8Array, layout: XtablesLayout): Generator<Entry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let start = 0; start < bytes.length; ) {
    if (start + layout.entryBytes + EXTENSION_BYTES > bytes.length) throw malformed(start)
    const target = start + view.getUint16(start + layout.targetOffset, true)
    const end = start + view.getUint16(start + layout.targetOffset + 2, true)
    const isWhole = target >= start + layout.entryBytes && target + EXTENSION_BYTES <= end
    if (!isWhole || end > bytes.length) throw malformed(start)
    yield entryAt(view, { start, target, end }, layout)
    start = end
  }
}

function entryAt(
  view: DataView,
  { start, target, end }: { start: number; target: number; end: number },
  layout: XtablesLayout,
): Entry {
  const name = textAt(view, target + NAME_OFFSET, NAME_BYTES, end)
  const data = target + EXTENSION_BYTES
  const verdict = name === "" && data + 4 <= end ? view.getInt32(data, true) : undefined
  const matches = [...matchesOf(view, start + layout.entryBytes, target)]
  const comments = matches.filter((match) => match.name === "comment")
  const [comment] = comments
  const flags = view.getUint8(start + layout.flagsOffset)
  return {
    start,
    end,
    chainName: name === ERROR_TARGET ? textAt(view, data, CHAIN_NAME_BYTES, end) : undefined,
    jump: verdict !== undefined && verdict >= 0 ? verdict : undefined,
    rule: {
      target: verdict === undefined ? name : VERDICTS.get(verdict),
      isGoto: (flags & layout.gotoFlag) !== 0,
      isForAll: comments.length === matches.length && isForAny(view, start, layout),
      comment: comment && textAt(view, comment.data, COMMENT_BYTES, target),
    },
  }
}

/** Whether addresses, interfaces and protocol are left open. */
function isForAny(view: DataView, start: number, { matchBytes, flagsOffset }: XtablesLayout) {
  for (let at = 0; at < matchBytes; at++) {
    if (at !== flagsOffset && view.getUint8(start + at) !== 0) return false
  }
  return true
}

function* matchesOf(view: DataView, start: number, end: number) {
  for (let at = start; at < end; ) {
    if (at + EXTENSION_BYTES > end) throw malformed(at)
    const size = view.getUint16(at, true)
    if (size < EXTENSION_BYTES || at + size > end) throw malformed(at)
    yield { name: textAt(view, at + NAME_OFFSET, NAME_BYTES, end), data: at + EXTENSION_BYTES }
    at += size
  }
}

/** Text up to its zero byte. */
function textAt(view: DataView, start: number, most: number, end: number): string {
  const length = Math.max(0, Math.min(most, end - start))
  const bytes = new Uint8Array(view.buffer, view.byteOffset + start, length)
  const zero = bytes.indexOf(0)
  return new TextDecoder().decode(zero < 0 ? bytes : bytes.subarray(0, zero))
}

function malformed(offset: number): LariatError {
  return new LariatError(`Cannot read the kernel's iptables rules: odd entry at byte ${offset}`, {
    code: "decode",
  })
}
