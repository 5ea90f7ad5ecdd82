/** The `ipam` part of a network configuration. */

import { parseAddress, parsePrefix, prefixContains } from "../../core/address.ts"
import { type Problem, pathText, type Step } from "../diagnostic.ts"
import type { Output } from "../value_schema.ts"
import type { NetconfIpam, NetconfRange } from "./netconf.ts"
import type { ipamSchema } from "./schema.ts"

type Ipam = Output<typeof ipamSchema>
type Range = Ipam["ranges"][number][number]

/** `ipam` with the ranges of both forms in one list. */
export function ipamOf(ipam: Ipam): NetconfIpam {
  const { type, subnetPrefixSize, routes, ranges } = ipam
  return { type, subnetPrefixSize, routes, ranges: [ipam, ...ranges.flat()].flatMap(rangeOf) }
}

/** No range, or the one that the keys say. */
function rangeOf({ subnet, rangeStart, rangeEnd, gateway }: Range): NetconfRange[] {
  return subnet === undefined ? [] : [{ subnet, rangeStart, rangeEnd, gateway }]
}

/** What a schema cannot say: ends that lie outside their subnet, and ends without one. */
export function problemsOfRanges(ipam: Ipam): Problem[] {
  const problems = problemsOfRange(ipam, ["ipam"])
  for (const [i, set] of ipam.ranges.entries()) {
    for (const [j, range] of set.entries()) {
      problems.push(...problemsOfRange(range, ["ipam", "ranges", i, j]))
    }
  }
  return problems
}

function problemsOfRange(range: Range, path: readonly Step[]): Problem[] {
  const problems: Problem[] = []
  const subnet = range.subnet ? parsePrefix(range.subnet) : undefined
  for (const key of ["rangeStart", "rangeEnd", "gateway"] as const) {
    const said = range[key]
    if (!said || (subnet !== undefined && prefixContains(subnet, parseAddress(said)))) continue
    const full = [...path, key]
    const message =
      subnet === undefined
        ? `${pathText(full)} is there without a subnet`
        : `${pathText(full)} ${said} is outside of subnet ${range.subnet}`
    problems.push({ severity: subnet === undefined ? "warning" : "error", path: full, message })
  }
  return problems
}
