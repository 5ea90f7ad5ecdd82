/** The network configuration of the CNI types that Lariat answers to, normalised. */

import type { Output } from "../value_schema.ts"
import type * as schema from "./schema.ts"

/** Names of the plugin (`type`) that attach a container. */
export const BRIDGE_TYPES: readonly string[] = ["rancher-bridge", "lariat-cni"]
/** Names of `ipam.type` that the agent serves itself. */
export const IPAM_TYPES: readonly string[] = [
  "rancher-cni-ipam",
  "lariat-cni",
  "rancher-host-local-ipam",
  "rancher-flat-ipam",
]

/** What the keys of the schemas come out as: their types and meaning stand there. */
type Said = Output<typeof schema.bridgeNetconfSchema>
type SaidByRuntime = Said["runtimeConfig"]

/** A range of addresses as host-local writes it; canonical text. */
export interface NetconfRange {
  readonly subnet: string
  readonly rangeStart: string | undefined
  readonly rangeEnd: string | undefined
  readonly gateway: string | undefined
}

export interface NetconfIpam {
  readonly type: string
  readonly subnetPrefixSize: number | undefined
  readonly routes: readonly Output<typeof schema.route>[]
  /** `subnet`, `rangeStart`, `rangeEnd`, `gateway` as host-local has them, and `ranges`. */
  readonly ranges: readonly NetconfRange[]
}

export type PortMapping = SaidByRuntime["portMappings"][number]

/** What the runtime hands over by capability (`runtimeConfig`), and in `args`. */
export interface RuntimeConfig extends Omit<SaidByRuntime, "aliases"> {
  readonly aliases: readonly string[]
  /** `args.cni.labels`. */
  readonly labels: Readonly<Record<string, string>> | undefined
}

type Reworked = "bridgeSubnet" | "bridgeIP" | "ipam" | "runtimeConfig" | "args"

/** `rancher-bridge`'s keys (reference of the original: every key, its type and default). */
export interface Netconf extends Omit<Said, Reworked | `cni.dev/${string}`> {
  /** IPv4 and IPv6 subnets of the bridge. */
  readonly bridgeSubnets: readonly string[]
  /** With prefix length: the first address of each subnet where no other is said. */
  readonly bridgeIPs: readonly string[]
  readonly ipam: NetconfIpam | undefined
  readonly runtimeConfig: RuntimeConfig
  /** `cni.dev/valid-attachments` or its legacy name; null counts as the empty list. */
  readonly validAttachments: Said["cni.dev/valid-attachments"]
}

/** Whether containers get their addresses of Lariat, and of no other IPAM plugin. */
export function isOurIpam({ ipam }: Pick<Netconf, "ipam">): boolean {
  return ipam === undefined || IPAM_TYPES.includes(ipam.type)
}
