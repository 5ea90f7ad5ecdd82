/** Checks that a schema can not make, within one network and between several. */

import { type Prefix, parsePrefix, prefixContains, prefixesOverlap } from "../core/address.ts"
import type { Step } from "./diagnostic.ts"
import type { DefaultNetworkInput } from "./driver_schema.ts"
import type { Netconf, NetconfProblem } from "./netconf.ts"
import type { Position, Subnet } from "./network.ts"
import type { BuiltNetwork } from "./network_build.ts"

/** IPv6 does not run over less (RFC 8200 section 5). */
const MIN_MTU_IPV6 = 1280
/** Every IPv4 host takes packets of this size (RFC 791 section 3.1). */
const MIN_MTU_IPV4 = 576

/** `mac_prefix`: three octets, of no group, and best of the locally administered kind. */
export function checkMacPrefix(text: string | undefined): NetconfProblem[] {
  if (text === undefined) return []
  const path = ["default_network", "mac_prefix"]
  if (!/^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){2}$/.test(text)) {
    const message = `mac_prefix ${JSON.stringify(text)} is not three octets`
    return [{ severity: "error", path, message, hint: "write it as 02:00:01" }]
  }
  const first = Number.parseInt(text.slice(0, 2), 16)
  if ((first & 1) === 1) {
    const message = `mac_prefix ${text} is that of group addresses, which no interface can have`
    return [{ severity: "error", path, message, hint: "make the first octet even, such as 02" }]
  }
  if ((first & 2) === 2) return []
  const message = `mac_prefix ${text} belongs to a manufacturer and may meet a real card`
  return [{ severity: "warning", path, message, hint: "begin it with 02, 06, 0a or 0e" }]
}

/** A rule says one of: within, between, or from and to. */
export function checkPolicy(rules: NonNullable<DefaultNetworkInput["policy"]>): NetconfProblem[] {
  return rules.flatMap((rule, index): NetconfProblem[] => {
    const path = ["default_network", "policy", index]
    const forms = [rule.within, rule.between, rule.from ?? rule.to].filter(Boolean).length
    if (forms === 1 && Boolean(rule.from) === Boolean(rule.to)) return []
    const message = "a rule says within, or between, or both from and to"
    return [{ severity: "error", path, message }]
  })
}

/** A netconf against the subnets of its network. */
export function checkConf(conf: Netconf, subnets: readonly Subnet[]): NetconfProblem[] {
  return [...checkBridgeSubnet(conf, subnets), ...checkMtu(conf, subnets)]
}

function checkBridgeSubnet(conf: Netconf, subnets: readonly Subnet[]): NetconfProblem[] {
  const bridge = conf.bridgeSubnets.map(parsePrefix)
  return subnets.flatMap((subnet): NetconfProblem[] => {
    const pool = parsePrefix(subnet.cidr)
    const sameFamily = bridge.filter((candidate) => candidate.family === pool.family)
    if (sameFamily.length === 0 || sameFamily.some((candidate) => covers(candidate, pool)))
      return []
    const message = `bridgeSubnet ${conf.bridgeSubnets.join(", ")} does not contain the subnet ${subnet.cidr}`
    const hint = "containers would not be on-link with their gateway"
    return [{ severity: "warning", path: ["bridgeSubnet"], message, hint }]
  })
}

function covers(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && prefixContains(outer, inner)
}

function checkMtu(conf: Netconf, subnets: readonly Subnet[]): NetconfProblem[] {
  if (conf.mtu === 0) return []
  const overhead = conf.linkMTUOverhead === "auto" ? 0 : conf.linkMTUOverhead
  const mtu = conf.mtu - overhead
  const hasIpv6 = subnets.some((subnet) => subnet.cidr.includes(":"))
  const least = hasIpv6 ? MIN_MTU_IPV6 : MIN_MTU_IPV4
  if (mtu >= least) return []
  const why = hasIpv6 ? "IPv6 needs" : "an IPv4 host must take"
  const sum = overhead === 0 ? `mtu ${mtu}` : `mtu ${conf.mtu} less linkMTUOverhead ${overhead}`
  const message = `${sum} leaves ${mtu} bytes, ${why} ${least}`
  const path = [overhead === 0 ? "mtu" : "linkMTUOverhead"]
  return [{ severity: "error", path, message }]
}

/** What one network takes, that no other may take. */
interface Claim {
  readonly owner: BuiltNetwork
  readonly path: readonly Step[]
  readonly position: Position
}

/** Names and subnets that two networks both want; the later one is told. */
export function checkBetween(networks: readonly BuiltNetwork[]): void {
  const names = new Map<string, Claim>()
  const confNames = new Map<string, Claim>()
  const subnets: { claim: Claim; prefix: Prefix; cidr: string }[] = []
  for (const owner of networks) {
    const claim = (path: readonly Step[]): Claim => ({
      owner,
      path,
      position: owner.positionOf(path),
    })
    const { network } = owner
    once(names, network.name, claim(["default_network", "name"]), "network name")
    for (const { file, conf } of owner.confs) {
      once(confNames, conf.name, claim(["cni_config", file, "name"]), "CNI configuration name")
    }
    for (const [index, { cidr }] of network.subnets.entries()) {
      const mine = claim(["default_network", "subnets", index, "network_address"])
      const prefix = parsePrefix(cidr)
      const other = subnets.find((candidate) => prefixesOverlap(candidate.prefix, prefix))
      if (other !== undefined) {
        const whose =
          other.claim.owner === owner ? "" : ` of network ${other.claim.owner.network.name}`
        const message = `subnet ${cidr} of network ${network.name} overlaps ${other.cidr}${whose}, ${placeOf(other.claim)}`
        owner.tell({ severity: "error", path: mine.path, message, hint: "give each its own range" })
      }
      subnets.push({ claim: mine, prefix, cidr })
    }
  }
}

function once(taken: Map<string, Claim>, name: string, claim: Claim, what: string): void {
  const before = taken.get(name)
  if (before === undefined) taken.set(name, claim)
  // Files of one driver are run one after the other: there the same name is only a remark.
  if (before === undefined || before.owner === claim.owner) return
  const message = `the ${what} ${name} is taken, ${placeOf(before)}`
  claim.owner.tell({ severity: "error", path: claim.path, message, hint: "choose another name" })
}

function placeOf({ position }: Claim): string {
  return `said in ${position.file}:${position.line}:${position.column}`
}
