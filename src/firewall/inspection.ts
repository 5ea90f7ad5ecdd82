/** How a table in the kernel differs from the wanted one, and what would mend it in place. */

import type { MessageWriter } from "../netlink/message.ts"
import type { SetElement } from "../netlink/nftables/element.ts"
import type { Expression } from "../netlink/nftables/expression.ts"
import {
  keyLength,
  keyType,
  newSet,
  type SetInfo,
  type SetSpec,
  setFlags,
} from "../netlink/nftables/set.ts"
import type { Ruleset } from "../netlink/nftables/socket.ts"
import {
  type Chain,
  describeTable,
  type Hook,
  newChain,
  newRule,
  type Rule,
  type TableRef,
} from "../netlink/nftables/table.ts"
import { forget, moves, refill } from "./changes.ts"
import { without } from "./contents.ts"
import { type Contents, type Layout, setsOf, type WantedTable } from "./layout.ts"

export interface Inspection {
  /** One sentence for each difference; none means the table is as wanted. */
  readonly differences: readonly string[]
  /** What mends it; undefined where the table must be made anew. */
  readonly repair: readonly MessageWriter[] | undefined
}

/**
 * Reads the table and compares what happens to packets. Comments and counters do not matter,
 * foreign sets neither: no rule uses them.
 *
 * @throws NetlinkError, LariatError code `decode`
 */
export function inspect(ruleset: Ruleset, wanted: WantedTable): Inspection {
  const { layout, contents } = wanted
  const ref = layout.table
  const table = ruleset.table(ref)
  if (table === undefined) return beyondRepair([`${describeTable(ref)} is missing`])
  const rules = ruleset.rules(ref)
  const sets = new Map(ruleset.sets(ref).map((set) => [set.name, set]))
  const chains = new Map(layout.chains.map(({ name }) => [name, ruleset.chain(ref, name)]))
  const frame = [
    ...(table.flags === ref.flags ? [] : [`${describeTable(ref)} is switched off`]),
    ...layout.chains.flatMap((chain) => compareChain(chain, chains.get(chain.name))),
    ...foreignChains(layout, rules),
    ...setsOf(layout).flatMap((set) => compareSet(set, sets.get(set.name))),
  ]
  if (frame.length > 0) return beyondRepair(frame)
  const noChains = layout.chains.filter(({ name }) => chains.get(name) === undefined)
  const noSets = setsOf(layout).filter(({ name }) => !sets.has(name))
  const changed = layout.chains.filter(({ name }) => !sameRules(ref, name, wanted.rules, rules))
  const there: Contents = new Map(
    layout.filled
      .filter(({ name }) => sets.has(name))
      .map(({ name }): [string, SetElement[]] => [name, ruleset.elements(ref, name)]),
  )
  return {
    differences: [
      ...noChains.map(({ name }) => `chain ${name} is missing`),
      ...noSets.map(({ name }) => `set ${name} is missing`),
      ...changed
        .filter((chain) => !noChains.includes(chain))
        .map(({ name }) => `chain ${name} has other rules`),
      ...[...there.keys()].flatMap((name) => compareElements(name, contents, there)),
    ],
    repair: [
      // The table of an earlier version lacks parts: what is there goes on as it is.
      ...noSets.map((set, index) => newSet(ref, { ...set, id: index + 1 })),
      ...noChains.map((chain) => newChain(ref, chain)),
      ...changed.flatMap((chain) => refill(ref, chain, wanted.rules)),
      ...forget(layout, changed, [...sets.keys()]),
      ...moves(ref, there, contents),
    ],
  }
}

function beyondRepair(differences: string[]): Inspection {
  return { differences, repair: undefined }
}

function compareChain(wanted: Chain, there: Chain | undefined): string[] {
  if (there === undefined) return []
  const same = hookText(wanted.base) === hookText(there.base)
  return same ? [] : [`chain ${wanted.name} has another hook, priority or policy`]
}

function hookText(base: Hook | undefined): string {
  if (base === undefined) return "none"
  return [base.type, base.hook, base.priority, base.policy].join()
}

function foreignChains({ chains }: Layout, rules: readonly Rule[]): string[] {
  const names = new Set(rules.map(({ chain }) => chain))
  for (const { name } of chains) names.delete(name)
  return [...names].map((name) => `chain ${name} is not ours`)
}

function sameRules(
  ref: TableRef,
  name: string,
  wanted: readonly Rule[],
  there: readonly Rule[],
): boolean {
  const text = (rules: readonly Rule[]): string =>
    rules
      .filter(({ chain }) => chain === name)
      .map((rule) => ruleText(ref, rule))
      .join()
  return text(wanted) === text(there)
}

/** The message that makes the rule, without what the kernel adds: counts, passing numbers. */
function ruleText(ref: TableRef, { chain, expressions }: Rule): string {
  return newRule(ref, { chain, expressions: expressions.map(plain) })
    .finish(0)
    .toHex()
}

function plain(expression: Expression): Expression {
  if (expression.kind === "counter") return { kind: "counter", packets: 0n, bytes: 0n }
  if (expression.kind === "lookup" || expression.kind === "limit-each")
    return { ...expression, setId: undefined }
  return expression
}

function compareSet(wanted: SetSpec, there: SetInfo | undefined): string[] {
  if (there === undefined) return []
  const same =
    there.flags === setFlags(wanted) &&
    there.keyLength === keyLength(wanted) &&
    there.keyType === keyType(wanted)
  return same ? [] : [`set ${wanted.name} has another type`]
}

function compareElements(set: string, wanted: Contents, there: Contents): string[] {
  const ours = wanted.get(set) ?? []
  const now = there.get(set) ?? []
  const lacks = without(ours, now).length
  const extra = without(now, ours).length
  const found: string[] = []
  if (lacks > 0) found.push(`set ${set} lacks ${lacks} of ${ours.length} elements`)
  if (extra > 0) found.push(`set ${set} has ${extra} elements too many`)
  return found
}
