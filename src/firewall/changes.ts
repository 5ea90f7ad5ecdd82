/** Messages that change tables, each list for one transaction. */

import type { MessageWriter } from "../netlink/message.ts"
import { deleteAllElements, deleteElements, newElements } from "../netlink/nftables/element.ts"
import { newSet } from "../netlink/nftables/set.ts"
import {
  type Chain,
  deleteRules,
  deleteTable,
  newChain,
  newRule,
  newTable,
  type Rule,
  type Table,
  type TableRef,
} from "../netlink/nftables/table.ts"
import { without } from "./contents.ts"
import { type Contents, type Layout, setsOf, type WantedTable } from "./layout.ts"

/** Makes the elements of the one those of the other, in the sets that either names. */
export function moves(ref: TableRef, before: Contents, after: Contents): MessageWriter[] {
  const sets = new Set([...before.keys(), ...after.keys()])
  return [...sets].flatMap((set) => {
    const old = before.get(set) ?? []
    const now = after.get(set) ?? []
    if (old === now) return []
    return [
      // Deleted first: what is new may overlap it.
      ...deleteElements(ref, set, without(old, now)),
      ...newElements(ref, set, without(now, old)),
    ]
  })
}

/** Gives a chain its rules anew. */
export function refill(ref: TableRef, { name }: Chain, all: readonly Rule[]): MessageWriter[] {
  const rules = all.filter(({ chain }) => chain === name)
  return [deleteRules(ref, name), ...rules.map((rule) => newRule(ref, rule))]
}

/** Forgets the sources of limits that change: each keeps the limit that it began with. */
export function forget(
  { table, limits }: Layout,
  changed: readonly Chain[],
  present: readonly string[],
): MessageWriter[] {
  if (!changed.some((chain) => limits.chains.includes(chain))) return []
  return limits.sets
    .filter(({ name }) => present.includes(name))
    .map(({ name }) => deleteAllElements(table, name))
}

/** Makes the limits of services what these rules say. */
export function relimit(layout: Layout, rules: readonly Rule[]): MessageWriter[] {
  const { chains, sets } = layout.limits
  const names = sets.map(({ name }) => name)
  return [
    ...chains.flatMap((chain) => refill(layout.table, chain, rules)),
    ...forget(layout, chains, names),
  ]
}

/**
 * Makes the whole table, in the place of one that may be there. A packet on its way through an
 * old table at that instant can miss what it looks up there (the kernel reads the generation again
 * at each lookup) and keep its source: shown with 200 replacements under load. So only for a table
 * that has to be made or that somebody broke.
 */
export function replacement({ layout, contents, rules }: WantedTable): MessageWriter[] {
  const { table, chains, filled } = layout
  return [
    ...removal(table),
    newTable(table),
    ...chains.map((chain) => newChain(table, chain)),
    ...setsOf(layout).map((set, index) => newSet(table, { ...set, id: index + 1 })),
    ...rules.map((rule) => newRule(table, rule)),
    ...filled.flatMap((set) => newElements(table, set.name, contents.get(set.name) ?? [])),
  ]
}

/** Deletes the table, if there is one: made first, because deleting what is not there is an error. */
export function removal(table: Table): MessageWriter[] {
  return [newTable(table), deleteTable(table)]
}
