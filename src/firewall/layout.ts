import type { SetElement } from "../netlink/nftables/element.ts"
import type { SetSpec } from "../netlink/nftables/set.ts"
import type { Chain, Rule, Table } from "../netlink/nftables/table.ts"

/** What a table is made of, beside its rules. */
export interface Layout {
  readonly table: Table
  /** A chain stands before those that jump to it. */
  readonly chains: readonly Chain[]
  /** Sets whose elements this program makes. */
  readonly filled: readonly SetSpec[]
  /** Sets whose elements rules of some chains make, with a limit for each. */
  readonly limits: { readonly chains: readonly Chain[]; readonly sets: readonly SetSpec[] }
}

/** Elements by the name of their set; a set without elements may be missing. */
export type Contents = ReadonlyMap<string, readonly SetElement[]>

/** All that a table should be. */
export interface WantedTable {
  readonly layout: Layout
  readonly contents: Contents
  readonly rules: readonly Rule[]
}

/** All sets of a table. */
export function setsOf({ limits, filled }: Layout): readonly SetSpec[] {
  return [...limits.sets, ...filled]
}
