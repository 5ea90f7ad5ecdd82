/** The network configuration of the CNI types that Lariat answers to, normalised. */

/** Names of the plugin (`type`) that attach a container. */
export const BRIDGE_TYPES: readonly string[] = ["rancher-bridge", "lariat-cni"]
/** Names of `ipam.type` that the agent serves itself. */
export const IPAM_TYPES: readonly string[] = [
  "rancher-cni-ipam",
  "lariat-cni",
  "rancher-host-local-ipam",
  "rancher-flat-ipam",
]

/** A range of addresses as host-local writes it; canonical text. */
export interface NetconfRange {
  readonly subnet: string
  readonly rangeStart: string | undefined
  readonly rangeEnd: string | undefined
  readonly gateway: string | undefined
}

export interface NetconfRoute {
  readonly dst: string
  readonly gw?: string | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  readonly priority?: number | undefined
  readonly table?: number | undefined
  readonly scope?: number | undefined
}

export interface NetconfIpam {
  readonly type: string
  /** Prefix length that addresses are given with ("/16" or 16 in the file); undefined: the pool's. */
  readonly subnetPrefixSize: number | undefined
  readonly routes: readonly NetconfRoute[]
  /** `subnet`, `rangeStart`, `rangeEnd`, `gateway` as host-local has them, and `ranges`. */
  readonly ranges: readonly NetconfRange[]
  readonly logToFile: string | undefined
}

export interface NetconfDns {
  readonly nameservers: readonly string[]
  readonly domain: string | undefined
  readonly search: readonly string[]
  readonly options: readonly string[]
}

export interface PortMapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: "tcp" | "udp" | "sctp"
  readonly hostIP: string | undefined
}

/** What the runtime hands over by capability (`runtimeConfig`). */
export interface RuntimeConfig {
  readonly ips: readonly string[]
  readonly mac: string | undefined
  readonly dns: NetconfDns | undefined
  readonly aliases: readonly string[]
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth: Readonly<Record<string, number>> | undefined
  /** Ranges that the runtime asks an address from, one of each set. */
  readonly ipRanges?: readonly (readonly NetconfRange[])[] | undefined
  /** `args.cni.labels`. */
  readonly labels?: Readonly<Record<string, string>> | undefined
}

/** `rancher-bridge`'s keys (reference of the original: every key, its type and default). */
export interface Netconf {
  readonly cniVersion: string
  readonly name: string
  readonly type: string
  readonly bridge: string
  /** IPv4 and IPv6 subnets of the bridge; `bridgeSubnet` may be one text or a list. */
  readonly bridgeSubnets: readonly string[]
  readonly bridgeIPs: readonly string[]
  readonly useBridgeIPAsGateway: boolean
  readonly isGateway: boolean
  readonly isDefaultGateway: boolean
  readonly ipMasq: boolean
  readonly hostNat: boolean
  /** 0 means: not said. */
  readonly mtu: number
  readonly linkMTUOverhead: number | "auto"
  readonly hairpinMode: boolean
  readonly promiscMode: boolean
  readonly skipBridgeConfigureIP: boolean
  readonly skipFastPath: boolean
  readonly logToFile: string | undefined
  readonly isDebugLevel: boolean
  readonly agentSocket: string | undefined
  readonly ipam: NetconfIpam | undefined
  readonly dns: NetconfDns | undefined
  readonly runtimeConfig: RuntimeConfig
  /** The raw previous result of a chain, or of this plugin's own ADD on CHECK and DEL. */
  readonly prevResult: Readonly<Record<string, unknown>> | undefined
  /** `cni.dev/valid-attachments` or its legacy name; null counts as the empty list. */
  readonly validAttachments:
    | readonly { readonly containerID: string; readonly ifname: string }[]
    | undefined
}

/** One thing wrong with a netconf; `path` names the key. */
export interface NetconfProblem {
  readonly severity: "error" | "warning"
  readonly path: readonly (string | number)[]
  readonly message: string
  readonly hint?: string | undefined
  /** Whether the key itself is what is wrong, not its value. */
  readonly atKey?: boolean | undefined
}
