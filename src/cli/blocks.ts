import type { BlockReport } from "../agent/cluster/report.ts"
import { askAgent } from "../agent/control/control_client.ts"
import { table } from "../table.ts"
import { show } from "./show.ts"

/** `lariat blocks`: which host holds which block of addresses. */
export function blocks(options: { readonly json?: boolean }): number {
  return show(askAgent("blocks") as BlockReport[], options, renderBlocks)
}

/** The list for people. */
export function renderBlocks(list: readonly BlockReport[]): string {
  if (list.length === 0) return "no blocks are leased: one host alone needs none"
  const number = (value: number | null) => (value === null ? "-" : String(value))
  return table(
    [
      ["NETWORK", "BLOCK", "HOST", "STATE", "USED", "FREE"],
      ...list.map((one) => [
        one.network,
        one.block,
        one.mine ? `${one.host} (this host)` : one.host,
        one.state,
        number(one.used),
        number(one.free),
      ]),
    ],
    { right: [4, 5] },
  )
}
