import type { BlockReport } from "../agent/cluster/report.ts"
import { askAgent } from "../agent/control/control_client.ts"
import { table } from "../table.ts"

/** `lariat blocks`: which host holds which block of addresses. */
export function blocks(options: { readonly json?: boolean }): number {
  const list = askAgent("blocks") as BlockReport[]
  console.log(options.json === true ? JSON.stringify(list) : renderBlocks(list))
  return 0
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
