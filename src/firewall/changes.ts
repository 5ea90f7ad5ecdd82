/** Messages that change the table, each list for one transaction. */

import type { MessageWriter } from "../netlink/message.ts"
import { deleteAllElements, deleteElements, newElements } from "../netlink/nftables/element.ts"
import { newSet } from "../netlink/nftables/set.ts"
import type { Chain, Rule } from "../netlink/nftables/table.ts"
import { deleteRules, deleteTable, newChain, newRule, newTable } from "../netlink/nftables/table.ts"
import { type Contents, without } from "./contents.ts"
import { LIMIT_CHAINS, LIMIT_SETS } from "./limits.ts"
import { ALL_SETS, CHAINS, FILLED_SETS, TABLE } from "./ruleset.ts"

/** Makes the elements of the one those of the other, in the sets that either names. */
export function moves(before: Contents, after: Contents): MessageWriter[] {
  const sets = new Set([...before.keys(), ...after.keys()])
  return [...sets].flatMap((set) => {
    const old = before.get(set) ?? []
    const now = after.get(set) ?? []
    return [
      // Deleted first: what is new may overlap it.
      ...deleteElements(TABLE, set, without(old, now)),
      ...newElements(TABLE, set, without(now, old)),
    ]
  })
}

/** Gives a chain its rules anew. */
export function refill({ name }: Chain, all: readonly Rule[]): MessageWriter[] {
  const rules = all.filter(({ chain }) => chain === name)
  return [deleteRules(TABLE, name), ...rules.map((rule) => newRule(TABLE, rule))]
}

/** Forgets the sources of limits that change: each keeps the limit that it began with. */
export function forget(changed: readonly Chain[], present: readonly string[]): MessageWriter[] {
  if (!changed.some((chain) => LIMIT_CHAINS.includes(chain))) return []
  return LIMIT_SETS.filter(({ name }) => present.includes(name)).map(({ name }) =>
    deleteAllElements(TABLE, name),
  )
}

/** Makes the limits of services what these rules say. */
export function relimit(rules: readonly Rule[]): MessageWriter[] {
  const sets = LIMIT_SETS.map(({ name }) => name)
  return [...LIMIT_CHAINS.flatMap((chain) => refill(chain, rules)), ...forget(LIMIT_CHAINS, sets)]
}

/**
 * Makes the whole table, in the place of one that may be there. A packet on its way through an
 * old table at that instant can miss what it looks up there (the kernel reads the generation again
 * at each lookup) and keep its source: shown with 200 replacements under load. So only for a table
 * that has to be made or that somebody broke.
 */
export function replacement(contents: Contents, rules: readonly Rule[]): MessageWriter[] {
  return [
    // Made first, because deleting what is not there is an error.
    newTable(TABLE),
    deleteTable(TABLE),
    newTable(TABLE),
    ...CHAINS.map((chain) => newChain(TABLE, chain)),
    ...ALL_SETS.map((set, index) => newSet(TABLE, { ...set, id: index + 1 })),
    ...rules.map((rule) => newRule(TABLE, rule)),
    ...FILLED_SETS.flatMap((set) => newElements(TABLE, set.name, contents.get(set.name) ?? [])),
  ]
}

/** Deletes the table, if there is one. */
export function removal(): MessageWriter[] {
  return [newTable(TABLE), deleteTable(TABLE)]
}
