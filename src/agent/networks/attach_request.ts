import type { PortMapping } from "../../config/netconf/netconf.ts"
import type { RouteSpec } from "../../endpoint/port.ts"
import type { HostNat } from "../../firewall/state.ts"
import type { EndpointNames } from "../state/rows.ts"
import type { ManagedNetwork } from "./networks.ts"

/** What makes an endpoint one of its kind: CNI's key of an attachment. */
export interface EndpointKey {
  /** The CNI network name. */
  readonly network: string
  readonly containerId: string
  readonly ifname: string
}

/** How the bridge of an endpoint is to look. */
export interface BridgeRequest {
  readonly name: string
  readonly promisc: boolean
  /** Put the gateways' addresses on the bridge; false for a network with a router of its own. */
  readonly configureIp: boolean
  /** MTU of a bridge that has to be made. */
  readonly mtu: number
  /** Answer ARP for other hosts' containers, which believe to be on the same link. Default false. */
  readonly proxyArp?: boolean
  /** Addresses of the bridge that the configuration names, with prefix length. */
  readonly addresses: readonly string[]
}

/** What the configuration asks for and the agent only keeps so far. */
export interface KeptCapabilities {
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth: Readonly<Record<string, number>> | undefined
}

/** Everything one attach needs, free of CNI's wording. */
export interface AttachRequest extends EndpointKey {
  readonly netnsPath: string
  /** CNI_NETNS_OVERRIDE: the namespace may be the agent's own. */
  readonly allowOwnNetns: boolean
  /** Where addresses come from; undefined when another IPAM gave them (`given`). */
  readonly pool: ManagedNetwork | undefined
  readonly requested: readonly string[]
  /** Addresses of another IPAM, with prefix length. */
  readonly given: readonly { readonly address: string; readonly gateway?: string | undefined }[]
  /** Prefix length to use instead of the pool's own. */
  readonly prefixLength: number | undefined
  readonly mac: string | undefined
  readonly bridge: BridgeRequest
  readonly gateway: "none" | "gateway" | "default"
  /** Use the first address on the bridge as gateway. */
  readonly bridgeIpAsGateway: boolean
  readonly hairpin: boolean
  readonly mtu: number
  readonly masquerade: boolean
  /** Whether the container sends under its own addresses alone. */
  readonly antiSpoofing: boolean
  readonly hostNat: readonly HostNat[]
  readonly routes: readonly RouteSpec[]
  readonly names: EndpointNames
  readonly kept: KeptCapabilities
}
