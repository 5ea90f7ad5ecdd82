/** Checks within one network that a schema cannot make. */

import {
  familyOf,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "../core/address.ts"
import type { Problem } from "./diagnostic.ts"
import type { DefaultNetworkInput } from "./driver_schema.ts"
import { isOurIpam, type Netconf } from "./netconf/netconf.ts"
import { contradicting, subnetsOfNetconf } from "./netconf/subnets.ts"
import type { Subnet } from "./network.ts"

/** IPv6 does not run over less (RFC 8200 section 5). */
const MIN_MTU_IPV6 = 1280
/** Every IPv4 host takes packets of this size (RFC 791 section 3.1). */
const MIN_MTU_IPV4 = 576

/** `mac_prefix`: three octets, of no group, and best of the locally administered kind. */
export function checkMacPrefix(text: string | undefined): Problem[] {
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
export function checkPolicy(rules: NonNullable<DefaultNetworkInput["policy"]>): Problem[] {
  return rules.flatMap((rule, index): Problem[] => {
    const path = ["default_network", "policy", index]
    const forms = [rule.within, rule.between, rule.from ?? rule.to].filter(Boolean).length
    if (forms === 1 && Boolean(rule.from) === Boolean(rule.to)) return []
    const message = "a rule says within, or between, or both from and to"
    return [{ severity: "error", path, message }]
  })
}

/** A netconf against the subnets of its network. */
export function checkConf(conf: Netconf, subnets: readonly Subnet[]): Problem[] {
  return [
    ...checkPools(conf, subnets),
    ...checkBridgeSubnet(conf, subnets),
    ...checkMtu(conf, subnets),
  ]
}

/** A pool of the configuration's own that has nothing in common with the network's is refused by ADD. */
function checkPools(conf: Netconf, subnets: readonly Subnet[]): Problem[] {
  if (!isOurIpam(conf)) return []
  return contradicting(subnetsOfNetconf(conf), subnets).map(({ cidr, path }): Problem => {
    const said = subnets.map((subnet) => subnet.cidr).join(", ")
    const message = `${cidr} has nothing in common with the network's ${said}`
    return { severity: "error", path, message, hint: "make both say the same" }
  })
}

function checkBridgeSubnet(conf: Netconf, subnets: readonly Subnet[]): Problem[] {
  const bridge = conf.bridgeSubnets.map(parsePrefix)
  return subnets.flatMap((subnet): Problem[] => {
    const pool = parsePrefix(subnet.cidr)
    const meeting = bridge.filter((candidate) => prefixesOverlap(candidate, pool))
    if (meeting.length === 0 || meeting.some((candidate) => covers(candidate, pool))) return []
    const message = `bridgeSubnet ${conf.bridgeSubnets.join(", ")} does not contain the subnet ${subnet.cidr}`
    const hint = "containers would not be on-link with their gateway"
    return [{ severity: "warning", path: ["bridgeSubnet"], message, hint }]
  })
}

function covers(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && prefixContains(outer, inner)
}

function checkMtu(conf: Netconf, subnets: readonly Subnet[]): Problem[] {
  if (conf.mtu === 0) return []
  const overhead = conf.linkMTUOverhead === "auto" ? 0 : conf.linkMTUOverhead
  const mtu = conf.mtu - overhead
  const hasIpv6 = subnets.some((subnet) => familyOf(subnet.cidr) === 6)
  const least = hasIpv6 ? MIN_MTU_IPV6 : MIN_MTU_IPV4
  if (mtu >= least) return []
  const why = hasIpv6 ? "IPv6 needs" : "an IPv4 host must take"
  const sum = overhead === 0 ? `mtu ${mtu}` : `mtu ${conf.mtu} less linkMTUOverhead ${overhead}`
  const message = `${sum} leaves ${mtu} bytes, ${why} ${least}`
  const path = [overhead === 0 ? "mtu" : "linkMTUOverhead"]
  return [{ severity: "error", path, message }]
}
