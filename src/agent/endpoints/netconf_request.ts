import type { CniEnvironment } from "../../cni/protocol.ts"
import type { AttachResult } from "../../cni/result.ts"
import type { Netconf } from "../../config/netconf/netconf.ts"
import { type Family, familyOf } from "../../core/address.ts"
import type { RouteSpec } from "../../endpoint/port.ts"
import { LariatError } from "../../errors.ts"
import type { HostNat } from "../../firewall/state.ts"
import type { AttachRequest } from "../networks/attach_request.ts"
import { linkMtu } from "../networks/link_mtu.ts"
import type { ManagedNetwork } from "../networks/networks.ts"
import type { EndpointNames } from "../state/rows.ts"

/** MTU of a bridge that has to be made when nothing says another, bytes. */
const DEFAULT_BRIDGE_MTU = 1500

/** The known CNI_ARGS of one call. */
export type CniArgs = Readonly<Record<string, string>>

/** What a request is made from. */
export interface NetconfRequestInput {
  readonly conf: Netconf
  readonly env: CniEnvironment
  readonly args: CniArgs
  /** Undefined when another IPAM gives the addresses. */
  readonly pool: ManagedNetwork | undefined
  /** Result of that other IPAM. */
  readonly delegated: AttachResult | undefined
  /** MTU of the route to other hosts, bytes. */
  readonly underlay: number
  /** Family of the packets between hosts. Default 4. */
  readonly outerFamily?: Family | undefined
}

/**
 * What a `rancher-bridge` configuration and a runtime's arguments ask for, as one attach.
 *
 * @throws LariatError `config-invalid`, `mtu-too-small`
 */
export function attachRequest(input: NetconfRequestInput): AttachRequest {
  const { conf, env, args, pool, delegated, underlay } = input
  const ipv6 =
    pool?.subnets.some(({ cidr }) => familyOf(cidr) === 6) ??
    delegated?.ips.some(({ address }) => familyOf(address) === 6) ??
    false
  const mtu = linkMtu({
    mtu: conf.mtu,
    overhead: overheadArgument(args) ?? conf.linkMTUOverhead,
    driver: pool?.driver ?? "none",
    encapsulation: pool?.configured?.encapsulation,
    underlay,
    outerFamily: input.outerFamily,
    ipv6,
  }).mtu
  return {
    network: conf.name,
    containerId: env.containerId,
    ifname: env.ifname,
    netnsPath: env.netns,
    allowOwnNetns: env.netnsOverride,
    pool,
    requested: requestedAddresses(conf, args),
    given: delegated?.ips.map(({ address, gateway }) => ({ address, gateway })) ?? [],
    prefixLength: conf.ipam?.subnetPrefixSize,
    mac: conf.runtimeConfig.mac ?? args.MACAddress ?? args.MAC,
    bridge: {
      name: conf.bridge,
      promisc: conf.promiscMode,
      configureIp: !conf.skipBridgeConfigureIP,
      mtu: conf.mtu > 0 ? conf.mtu : DEFAULT_BRIDGE_MTU,
      ...(pool?.leased === true ? { proxyArp: true } : {}),
      addresses: bridgeAddresses(conf),
    },
    gateway: conf.isDefaultGateway ? "default" : conf.isGateway ? "gateway" : "none",
    bridgeIpAsGateway: conf.useBridgeIPAsGateway,
    hairpin: conf.hairpinMode,
    antiSpoofing: conf.antiSpoofing,
    mtu,
    masquerade: conf.ipMasq,
    hostNat: conf.hostNat ? hostNat(conf, pool) : [],
    routes: routes(conf, delegated),
    names: endpointNames(conf, args),
    kept: {
      portMappings: conf.runtimeConfig.portMappings,
      bandwidth: conf.runtimeConfig.bandwidth,
    },
  }
}

/** The addresses that a call asks for by name: capability `ips` first, else CNI_ARGS. */
export function requestedAddresses(conf: Netconf, args: CniArgs): readonly string[] {
  if (conf.runtimeConfig.ips.length > 0) return conf.runtimeConfig.ips
  const text = args.IPAddress ?? args.IP
  return text === undefined || text === "" ? [] : text.split(",").map((part) => part.trim())
}

/** The names that come with a call. */
export function endpointNames(conf: Netconf, args: CniArgs): EndpointNames {
  return {
    podName: args.K8S_POD_NAME,
    podNamespace: args.K8S_POD_NAMESPACE,
    podUid: args.K8S_POD_UID,
    uuid: args.RancherContainerUUID,
    aliases: conf.runtimeConfig.aliases,
    labels: conf.runtimeConfig.labels ?? {},
  }
}

/** LinkMTUOverhead of CNI_ARGS; the original ignores it when it is not a number. */
function overheadArgument(args: CniArgs): number | undefined {
  const text = args.LinkMTUOverhead
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : undefined
}

function hostNat(conf: Netconf, pool: ManagedNetwork | undefined): HostNat[] {
  const subnets = pool?.subnets.map(({ cidr }) => cidr) ?? conf.bridgeSubnets
  return subnets.map((subnet) => ({ subnet, bridge: conf.bridge }))
}

/** Each bridgeIP with the prefix length of the bridge subnet that it lies in. */
function bridgeAddresses(conf: Netconf): string[] {
  return conf.bridgeIPs.map((text) => {
    if (text.includes("/")) return text
    const family = familyOf(text)
    const subnet = conf.bridgeSubnets.find((cidr) => familyOf(cidr) === family)
    const length = subnet?.split("/")[1]
    if (length !== undefined) return `${text}/${length}`
    throw new LariatError(
      `Cannot put bridgeIP ${text} on ${conf.bridge}: no bridgeSubnet of its family gives it a prefix length`,
      {
        code: "config-invalid",
        hint: "write bridgeIP with its prefix length, or add bridgeSubnet",
      },
    )
  })
}

function routes(conf: Netconf, delegated: AttachResult | undefined): RouteSpec[] {
  return [...(conf.ipam?.routes ?? []), ...(delegated?.routes ?? [])]
}
