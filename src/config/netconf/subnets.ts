/** The pools of addresses that a network configuration brings along itself. */

import { hostPrefix, parsePrefix, prefixContains, prefixesOverlap } from "../../core/address.ts"
import type { Problem, Step } from "../diagnostic.ts"
import type { Subnet } from "../network.ts"
import { resolveSubnet } from "../subnet.ts"
import type { Netconf } from "./netconf.ts"

/** A pool, and what is wrong with it, with the path below the configuration. */
export interface NetconfSubnet {
  /** As it is written. */
  readonly cidr: string
  /** Undefined where it is no usable pool. */
  readonly subnet: Subnet | undefined
  readonly problems: readonly Problem[]
  /** Where it stands, below the configuration. */
  readonly path: readonly Step[]
}

/** The pools of a configuration: ranges of `ipam` come before the bridge's subnets. */
export function subnetsOfNetconf(conf: Netconf): NetconfSubnet[] {
  const ranges = conf.ipam?.ranges ?? []
  if (ranges.length > 0) {
    return ranges.map(({ subnet, gateway, rangeStart, rangeEnd }) => {
      const ends = { gateway, start_address: rangeStart, end_address: rangeEnd }
      return under(["ipam"], subnet, ends)
    })
  }
  return conf.bridgeSubnets.map((cidr) => {
    const prefix = parsePrefix(cidr)
    const gateway = conf.bridgeIPs
      .map((text) => text.split("/")[0] ?? text)
      .find((text) => prefixContains(prefix, parsePrefix(hostPrefix(text))))
    return under(["bridgeSubnet"], cidr, { gateway })
  })
}

/**
 * Those of a configuration's pools that contradict its network: of a family that the network has a
 * pool of, and none of these shares an address with it.
 */
export function contradicting<T extends { readonly cidr: string }>(
  pools: readonly T[],
  network: readonly { readonly cidr: string }[],
): T[] {
  const prefixes = network.map(({ cidr }) => parsePrefix(cidr))
  return pools.filter(({ cidr }) => {
    const prefix = parsePrefix(cidr)
    const alike = prefixes.filter(({ family }) => family === prefix.family)
    return alike.length > 0 && !alike.some((other) => prefixesOverlap(other, prefix))
  })
}

function under(
  path: readonly Step[],
  cidr: string,
  ends: Omit<Parameters<typeof resolveSubnet>[0], "network_address">,
): NetconfSubnet {
  const { subnet, problems } = resolveSubnet({ network_address: cidr, ...ends })
  return { cidr, subnet, path, problems: problems.map((problem) => ({ ...problem, path })) }
}
