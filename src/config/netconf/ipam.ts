/** The `ipam` part of a network configuration. */

import type * as z from "zod/mini"
import {
  formatPrefix,
  networkOf,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "../../core/address.ts"
import { pathText, type Step } from "../diagnostic.ts"
import type { NetconfIpam, NetconfProblem, NetconfRange, NetconfRoute } from "./netconf.ts"
import type { ipamSchema } from "./schema.ts"

type Ipam = z.output<typeof ipamSchema>
type Range = NonNullable<Ipam["ranges"]>[number][number]

/** `ipam` with every default filled in. */
export function ipamOf(ipam: Ipam): NetconfIpam {
  return {
    type: ipam.type,
    subnetPrefixSize: ipam.subnetPrefixSize ?? undefined,
    routes: (ipam.routes ?? []).map(routeOf),
    ranges: [ipam, ...(ipam.ranges ?? []).flat()].flatMap(rangeOf),
    logToFile: ipam.logToFile ?? undefined,
  }
}

/** What a schema can not say: ends that lie outside their subnet, and ends without one. */
export function problemsOfRanges(ipam: Ipam): NetconfProblem[] {
  const problems = problemsOfRange(ipam, ["ipam"])
  for (const [i, set] of (ipam.ranges ?? []).entries()) {
    for (const [j, range] of set.entries()) {
      problems.push(...problemsOfRange(range, ["ipam", "ranges", i, j]))
    }
  }
  return problems
}

function problemsOfRange(range: Range, path: readonly Step[]): NetconfProblem[] {
  const problems: NetconfProblem[] = []
  const subnet = range.subnet ? parsePrefix(range.subnet) : undefined
  for (const key of ["rangeStart", "rangeEnd", "gateway"] as const) {
    const said = range[key]
    if (!said || (subnet !== undefined && prefixContains(subnet, parseAddress(said)))) continue
    const full = [...path, key]
    const name = pathText(full)
    problems.push(
      subnet === undefined
        ? { severity: "warning", path: full, message: `${name} is there without a subnet` }
        : {
            severity: "error",
            path: full,
            message: `${name} ${said} is outside of subnet ${range.subnet}`,
          },
    )
  }
  return problems
}

/** No range, or the one that the keys say. */
export function rangeOf(range: Range): NetconfRange[] {
  if (!range.subnet) return []
  return [
    {
      subnet: formatPrefix(networkOf(parsePrefix(range.subnet))),
      rangeStart: range.rangeStart ?? undefined,
      rangeEnd: range.rangeEnd ?? undefined,
      gateway: range.gateway ?? undefined,
    },
  ]
}

function routeOf(route: NonNullable<Ipam["routes"]>[number]): NetconfRoute {
  return {
    dst: formatPrefix(networkOf(parsePrefix(route.dst))),
    gw: route.gw ?? undefined,
    mtu: route.mtu ?? undefined,
    advmss: route.advmss ?? undefined,
    priority: route.priority ?? undefined,
    table: route.table ?? undefined,
    scope: route.scope ?? undefined,
  }
}
