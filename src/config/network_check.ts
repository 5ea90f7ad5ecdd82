/** Checks within one network that a schema cannot make. */

import {
  addressOffset,
  familyOf,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "../core/address.ts"
import { encapsulate } from "../core/encapsulation.ts"
import type { Problem } from "./diagnostic.ts"
import { type DefaultNetworkInput, type DriverInput, MAX_VNI } from "./driver_schema.ts"
import { BRIDGE_TYPES, isOurIpam, type Netconf } from "./netconf/netconf.ts"
import { contradicting, subnetsOfNetconf } from "./netconf/subnets.ts"
import type { AgentSettings, DriverKind, Network, Subnet } from "./network.ts"

/** IPv6 does not run over less (RFC 8200 section 5). */
const MIN_MTU_IPV6 = 1280
/** Every IPv4 host takes packets of this size (RFC 791 section 3.1). */
const MIN_MTU_IPV4 = 576
/** What a link carries where nothing else is said (IEEE 802.3). */
const ETHERNET_MTU = 1500
/** As `networkNumber` gives them out to a cluster. */
const MOST_NETWORKS = 16
const MAX_PORT = 65_535
/** As `BlockPlan` cuts a subnet at most. */
const MAX_BLOCKS = 65_536n

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

/** Ports and VNIs of a network begin at what is said: each network of a cluster has the next one. */
export function checkNumbers({ port, vni }: DriverInput, driver: DriverKind): Problem[] {
  const over = (key: string, value: number | undefined, most: number): Problem[] => {
    if (value === undefined || value + MOST_NETWORKS - 1 <= most) return []
    const message = `${key} ${value} leaves no room for the ${MOST_NETWORKS} networks of a cluster, which have one each from there on`
    const hint = `use ${most - MOST_NETWORKS + 1} at most`
    return [{ severity: "error", path: [key], message, hint }]
  }
  if (driver === "wireguard") return over("port", port, MAX_PORT)
  return driver === "vxlan" ? over("vni", vni, MAX_VNI) : []
}

/** Drivers that send nothing without a key, where there are other hosts to have one with. */
export function checkKey({ name, driver }: Network, { store, cluster }: AgentSettings): Problem[] {
  const isKeyed = driver === "ipsec" || driver === "wireguard"
  if (!isKeyed || store === "sqlite" || cluster.pskFile !== undefined) return []
  const message = `network ${name} reaches no other host: ${driver} needs a pre-shared key, and no pskFile is set`
  const hint = "openssl rand -base64 48 makes a key; set agent.pskFile to its file on every host"
  return [{ severity: "warning", path: [], message, hint, atKey: true }]
}

/** Blocks that hosts can lease: within their subnet, and not too many. */
export function checkBlockSize(length: number | undefined, subnets: readonly Subnet[]): Problem[] {
  if (length === undefined) return []
  const path = ["block_size"]
  return subnets.flatMap(({ cidr, start, end }): Problem[] => {
    const prefix = parsePrefix(cidr)
    if (prefix.family !== 4) return []
    if (length < prefix.length) {
      const message = `block_size ${length} is larger than the subnet ${cidr}`
      const hint = `use a prefix length from ${prefix.length} to 30`
      return [{ severity: "error", path, message, hint }]
    }
    const blockOf = (address: string) =>
      addressOffset(prefix, parseAddress(address)) >> BigInt(32 - length)
    const count = blockOf(end) - blockOf(start) + 1n
    if (count <= MAX_BLOCKS) return []
    const message = `block_size ${length} cuts ${cidr} into ${count} blocks, ${MAX_BLOCKS} are the most`
    return [{ severity: "error", path, message, hint: "make the blocks larger" }]
  })
}

/** A netconf against its network. */
export function checkConf(
  conf: Netconf,
  network: Pick<Network, "subnets" | "driver" | "encapsulation">,
): Problem[] {
  const { subnets } = network
  return [
    ...checkPools(conf, subnets),
    ...checkBridgeSubnet(conf, subnets),
    ...checkMtu(conf, network),
    ...(BRIDGE_TYPES.includes(conf.type) && isOurIpam(conf) ? checkRoutes(conf, subnets) : []),
  ]
}

/** Pools of the configuration's own that ADD refuses: no usable ones, or others than the network's. */
function checkPools(conf: Netconf, subnets: readonly Subnet[]): Problem[] {
  if (!isOurIpam(conf)) return []
  const pools = subnetsOfNetconf(conf)
  const strange = contradicting(pools, subnets).map(({ cidr, path }): Problem => {
    const said = subnets.map((subnet) => subnet.cidr).join(", ")
    const message = `${cidr} has nothing in common with the network's ${said}`
    return { severity: "error", path, message, hint: "make both say the same" }
  })
  return [...pools.flatMap(({ problems }) => problems), ...strange]
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

function checkMtu(
  conf: Netconf,
  { subnets, driver, encapsulation }: Pick<Network, "subnets" | "driver" | "encapsulation">,
): Problem[] {
  const outer = conf.mtu === 0 ? ETHERNET_MTU : conf.mtu
  const { cipher, udp } = encapsulation
  const mtu =
    conf.linkMTUOverhead === "auto"
      ? encapsulate(driver, { outer, cipher, family: 4, udp: udp !== "none" }).mtu
      : outer - conf.linkMTUOverhead
  const hasIpv6 = subnets.some((subnet) => familyOf(subnet.cidr) === 6)
  const least = hasIpv6 ? MIN_MTU_IPV6 : MIN_MTU_IPV4
  if (mtu >= least) return []
  const why = hasIpv6 ? "IPv6 needs" : "an IPv4 host must take"
  const taken =
    conf.linkMTUOverhead === "auto"
      ? `the ${outer - mtu} bytes of ${driver}`
      : `linkMTUOverhead ${outer - mtu}`
  const from = conf.mtu === 0 ? `a link of ${outer} bytes` : `mtu ${outer}`
  const sum = outer === mtu ? from : `${from} less ${taken}`
  const message = `${sum} leaves ${mtu} bytes, ${why} ${least}`
  const path = [
    conf.mtu === 0 || (conf.linkMTUOverhead !== "auto" && outer !== mtu)
      ? "linkMTUOverhead"
      : "mtu",
  ]
  // Other hosts may have a link of more.
  return [{ severity: conf.mtu === 0 ? "warning" : "error", path, message }]
}

/** Next hops that the kernel would refuse: those that no address of a container has on its link. */
function checkRoutes(conf: Netconf, subnets: readonly Subnet[]): Problem[] {
  const { ipam, isDefaultGateway } = conf
  const size = ipam?.subnetPrefixSize
  const routes = ipam?.routes ?? []
  const path = ["ipam", "subnetPrefixSize"]
  const problems: Problem[] = []
  const families = new Set(subnets.map(({ cidr }) => familyOf(cidr)))
  if (size !== undefined && size > 32 && families.has(4)) {
    const message = `subnetPrefixSize /${size} is no prefix length of IPv4`
    return [{ severity: "error", path, message, hint: "write it as /16" }]
  }
  const isHopWanted =
    isDefaultGateway || (conf.isGateway && routes.some(({ gw }) => gw === undefined))
  for (const subnet of subnets) {
    const gateway = gatewayOf(conf, subnet)
    if (!isHopWanted || isOnLink(gateway, subnet, size)) continue
    const message = `containers of ${subnet.cidr} do not have their gateway ${gateway} on their link`
    const hint =
      size === undefined
        ? "give a gateway inside of the subnet"
        : "make subnetPrefixSize that of the subnet"
    problems.push({ severity: "error", path: size === undefined ? [] : path, message, hint })
  }
  for (const [index, { dst, gw }] of routes.entries()) {
    if (gw === undefined) continue
    const at = ["ipam", "routes", index, "gw"]
    const alike = subnets.filter(({ cidr }) => familyOf(cidr) === familyOf(gw))
    const gateway = alike.map((subnet) => gatewayOf(conf, subnet)).find((one) => one !== gw)
    if (familyOf(dst) !== familyOf(gw)) {
      const message = `the route to ${dst} has the next hop ${gw} of the other family`
      problems.push({ severity: "error", path: at, message })
    } else if (families.size > 0 && !alike.some((subnet) => isOnLink(gw, subnet, size))) {
      const message = `the next hop ${gw} to ${dst} is not on the containers' link`
      const hint = "give one inside of the network's subnet"
      problems.push({ severity: "error", path: at, message, hint })
    } else if (isDefaultGateway && parsePrefix(dst).length === 0 && gateway !== undefined) {
      const message = `the default route has the next hop ${gw}, and isDefaultGateway makes it ${gateway}`
      const hint = "remove isDefaultGateway or this route"
      problems.push({ severity: "error", path: at, message, hint })
    }
  }
  return problems
}

/** The gateway of containers of a subnet, as far as the file says it. */
function gatewayOf(conf: Netconf, { cidr, gateway }: Subnet): string {
  const family = familyOf(cidr)
  const onBridge = conf.bridgeIPs.find((text) => familyOf(text) === family)?.split("/")[0]
  return conf.useBridgeIPAsGateway ? (onBridge ?? gateway) : gateway
}

/** Whether each container of a subnet has an address on its own link; IPv6 keeps the subnet's length. */
function isOnLink(
  address: string,
  { cidr, start, end }: Subnet,
  size: number | undefined,
): boolean {
  const { family, length } = parsePrefix(cidr)
  const own = family === 4 ? (size ?? length) : length
  return [start, end].every((one) =>
    prefixContains(networkOf({ ...parseAddress(one), length: own }), parseAddress(address)),
  )
}
