/** What the configuration says, typed. Addresses are canonical text, sizes are numbers. */

import type { Cipher } from "../core/encapsulation.ts"

/** Which data path carries a network between hosts; "none" means one host only. */
export type DriverKind = "ipsec" | "vxlan" | "routed" | "wireguard" | "none"

/** One pool of addresses of a network. */
export interface Subnet {
  /** Network address with prefix length, for instance `10.42.0.0/16`. */
  readonly cidr: string
  readonly gateway: string
  /** First and last address that may be given to a container, inclusive. */
  readonly start: string
  readonly end: string
}

/** Where in a file something was said; line and column count from 1. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A remark about a configuration; `path` names the key, outermost first. */
export interface Diagnostic {
  readonly severity: "error" | "warning"
  readonly position: Position
  readonly path: readonly (string | number)[]
  /** What is wrong and why, without a full stop. */
  readonly message: string
  /** What was probably meant or what to do. */
  readonly hint?: string | undefined
  /** Whether it is about what other hosts have, so that nothing on this one needs mending. */
  readonly elsewhere?: boolean | undefined
}

/** One file of `cni_config`: its name and its content with `__host_label__` resolved. */
export interface CniFile {
  readonly file: string
  readonly conf: Readonly<Record<string, unknown>>
}

/** Whether ESP travels in UDP: never, always, or where a NAT is found on the way. */
export type UdpEncapsulation = "none" | "udp" | "auto"

/** How a network's driver carries it between hosts; every default filled in. */
export interface Encapsulation {
  /** Of the ipsec driver. */
  readonly cipher: Cipher
  /** Of the ipsec driver. */
  readonly udp: UdpEncapsulation
  /** UDP port of VXLAN, WireGuard or encapsulated ESP; undefined: the driver's own default. */
  readonly port: number | undefined
  /** Of the vxlan driver. */
  readonly vni: number
  /** Prefix length of the blocks of IPv4 addresses that hosts lease; undefined: by the subnet. */
  readonly blockSize: number | undefined
}

/** One managed network, as a `network_driver` of the YAML defines it. */
export interface Network {
  /** `default_network.name`. */
  readonly name: string
  /** `network_driver.name`, else the service's key. */
  readonly driverName: string
  readonly service: string
  readonly driver: DriverKind
  readonly encapsulation: Encapsulation
  readonly subnets: readonly Subnet[]
  readonly hostPorts: boolean
  readonly dns: readonly string[]
  readonly dnsSearch: readonly string[]
  /** `default_network.metadata` overlaid by `network_metadata`. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** Three octets, `02:00:01`, or undefined: any locally administered address. */
  readonly macPrefix: string | undefined
  readonly defaultPolicyAction: "allow" | "deny"
  readonly policy: readonly unknown[]
  /** Sorted by file name. */
  readonly cni: readonly CniFile[]
  readonly position: Position
}

/** A network that only hosts of another system can have: here nothing is made of it. */
export interface ForeignNetwork {
  readonly name: string
  /** Names by which a CNI configuration means it, `name` among them. */
  readonly cniNames: ReadonlySet<string>
  /** What it is for and what says so, as in "is for Windows hosts: its kind is nat". */
  readonly why: string
}

/** How this host takes part in a cluster; without effect where the store is `sqlite`. */
export interface ClusterSettings {
  /** Clusters of different names share an etcd without seeing each other. */
  readonly name: string
  /** File of the pre-shared key; undefined: none, which only vxlan and routed allow. */
  readonly pskFile: string | undefined
  /** Names or ids of the hosts that are let in; undefined: whoever holds the key. */
  readonly allowHosts: readonly string[] | undefined
  /** Files of the store's CA certificate, and of a client certificate with its key. */
  readonly storeCa: string | undefined
  readonly storeCert: string | undefined
  readonly storeKey: string | undefined
  readonly storeUser: string | undefined
  readonly storePasswordFile: string | undefined
  /** How long a host may be silent before it is taken off the mesh, milliseconds. */
  readonly hostTimeoutMs: number
  /** How long a host must be gone before its blocks may be used by others, milliseconds. */
  readonly blockReuseMs: number
  /** How often this host makes new keys, milliseconds. */
  readonly rekeyMs: number
}

/** What one source may ask of metadata and DNS; 0 bounds nothing. */
export interface LimitSettings {
  /** TCP connections at once. */
  readonly connections: number
  /** Those of all sources of one family together. */
  readonly connectionsInAll: number
  /** New TCP connections. */
  readonly connectionsPerSecond: number
  /** Bytes of TCP, with the packets' heads. */
  readonly bytesPerSecond: number
  /** DNS queries by UDP. */
  readonly queriesPerSecond: number
}

/** The agent's own settings (`agent.yml`), every default filled in. */
export interface AgentSettings {
  readonly stateDir: string
  readonly runDir: string
  /** `sqlite`, or URLs of the members of an etcd, separated by commas. */
  readonly store: string
  readonly cluster: ClusterSettings
  readonly hostIp: string | undefined
  readonly hostName: string | undefined
  /** Labels of this host, for `__host_label__:` values and the metadata. */
  readonly hostLabels: Readonly<Record<string, string>>
  readonly metadataListen: string
  /** `none`: no DNS is served. */
  readonly dnsListen: string
  readonly limits: LimitSettings
  /** File of objects that the metadata shows beside what the agent knows itself. */
  readonly objects: string | undefined
  /** Whether a missing bridge is made: `auto` makes `docker0` only where no Docker is installed. */
  readonly createBridge: "auto" | "always" | "never"
  /** How long a released address rests before it is given again, milliseconds. */
  readonly quarantineMs: number
  readonly logLevel: "debug" | "info" | "warning" | "error"
}

/** Everything that a set of files gave. Networks are there even when others had errors. */
export interface Configuration {
  readonly networks: readonly Network[]
  readonly foreign: readonly ForeignNetwork[]
  readonly agent: AgentSettings
  readonly diagnostics: readonly Diagnostic[]
}
