/** How the table in the kernel differs from the wanted one. */

import type { Expression } from "../netlink/nftables_expression.ts"
import {
  keyLength,
  keyType,
  type SetInfo,
  type SetSpec,
  setFlags,
} from "../netlink/nftables_set.ts"
import type { Ruleset } from "../netlink/nftables_socket.ts"
import { type Chain, type Hook, newRule, type Rule } from "../netlink/nftables_table.ts"
import { type Contents, without } from "./contents.ts"
import { ALL_SETS, CHAINS, RULES, TABLE } from "./ruleset.ts"

/**
 * Differences that change what happens to packets, one sentence each; none means the table is as
 * wanted. Comments and counters do not matter, foreign sets neither: no rule uses them.
 *
 * @throws NetlinkError, LariatError code `decode`
 */
export function differences(nftables: Ruleset, contents: Contents): string[] {
  const table = nftables.table(TABLE)
  if (table === undefined) return [`table inet ${TABLE.table} is missing`]
  const found = table.flags === TABLE.flags ? [] : [`table inet ${TABLE.table} is switched off`]
  for (const chain of CHAINS) {
    found.push(...compareChain(chain, nftables.chain(TABLE, chain.name)))
  }
  found.push(...compareRules(nftables.rules(TABLE)))
  const sets = new Map(nftables.sets(TABLE).map((set) => [set.name, set]))
  for (const set of ALL_SETS) {
    const there = sets.get(set.name)
    const wrong = compareSet(set, there)
    found.push(...wrong)
    if (wrong.length > 0) continue
    found.push(...compareElements(nftables, set.name, contents))
  }
  return found
}

function compareChain(wanted: Chain, there: Chain | undefined): string[] {
  if (there === undefined) return [`chain ${wanted.name} is missing`]
  const same = hookText(wanted.base) === hookText(there.base)
  return same ? [] : [`chain ${wanted.name} has another hook, priority or policy`]
}

function hookText(base: Hook | undefined): string {
  if (base === undefined) return "none"
  return [base.type, base.hook, base.priority, base.policy].join()
}

function compareRules(there: readonly Rule[]): string[] {
  const strangers = there.filter(({ chain }) => !CHAINS.some(({ name }) => name === chain))
  const found = strangers.map(({ chain }) => `chain ${chain} is not ours`)
  for (const { name } of CHAINS) {
    const wanted = RULES.filter(({ chain }) => chain === name).map(ruleText)
    const now = there.filter(({ chain }) => chain === name).map(ruleText)
    if (wanted.join() !== now.join()) found.push(`chain ${name} has other rules`)
  }
  return [...new Set(found)]
}

/** The message that makes the rule, without what the kernel adds: counts, passing numbers. */
function ruleText({ chain, expressions }: Rule): string {
  return newRule(TABLE, { chain, expressions: expressions.map(plain) })
    .finish(0)
    .toHex()
}

function plain(expression: Expression): Expression {
  if (expression.kind === "counter") return { kind: "counter", packets: 0n, bytes: 0n }
  if (expression.kind === "lookup") return { ...expression, setId: undefined }
  return expression
}

function compareSet(wanted: SetSpec, there: SetInfo | undefined): string[] {
  if (there === undefined) return [`set ${wanted.name} is missing`]
  const same =
    there.flags === setFlags(wanted) &&
    there.keyLength === keyLength(wanted) &&
    there.keyType === keyType(wanted)
  return same ? [] : [`set ${wanted.name} has another type`]
}

function compareElements(nftables: Ruleset, set: string, contents: Contents): string[] {
  const wanted = contents.get(set) ?? []
  const there = nftables.elements(TABLE, set)
  const lacks = without(wanted, there).length
  const extra = without(there, wanted).length
  const found: string[] = []
  if (lacks > 0) found.push(`set ${set} lacks ${lacks} of ${wanted.length} elements`)
  if (extra > 0) found.push(`set ${set} has ${extra} elements too many`)
  return found
}
