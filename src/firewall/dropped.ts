import type { Rule } from "../netlink/nftables/table.ts"
import { LIMIT_NAMES, type LimitName } from "./limits.ts"
import { GUARD_NAMES, type GuardName } from "./tunnel_rules.ts"

/** Packets that were dropped, by what for. */
export type Dropped = Readonly<Record<LimitName | GuardName, number>>

/** Packets that were dropped since the rules were made, as these count. */
export function droppedBy(rules: readonly Rule[]): Dropped {
  const names = [...LIMIT_NAMES, ...GUARD_NAMES]
  const dropped = Object.fromEntries(names.map((name) => [name, 0])) as Record<string, number>
  for (const { comment = "", expressions } of rules) {
    for (const one of expressions) {
      if (one.kind !== "counter" || !Object.hasOwn(dropped, comment)) continue
      dropped[comment] = (dropped[comment] ?? 0) + Number(one.packets)
    }
  }
  return dropped as Dropped
}
