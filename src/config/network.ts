/** What the configuration says, typed. Addresses are canonical text, sizes are numbers. */

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
}

/** One file of `cni_config`: its name and its content with `__host_label__` resolved. */
export interface CniFile {
  readonly file: string
  readonly conf: Readonly<Record<string, unknown>>
}

/** One managed network, as a `network_driver` of the YAML defines it. */
export interface Network {
  /** `default_network.name`. */
  readonly name: string
  /** `network_driver.name`, else the service's key. */
  readonly driverName: string
  readonly service: string
  readonly driver: DriverKind
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

/** The agent's own settings (`agent.yml`), every default filled in. */
export interface AgentSettings {
  readonly stateDir: string
  readonly runDir: string
  /** `sqlite` or the URL of an etcd. */
  readonly store: string
  readonly hostIp: string | undefined
  readonly hostName: string | undefined
  /** Labels of this host, for `__host_label__:` values and the metadata. */
  readonly hostLabels: Readonly<Record<string, string>>
  readonly metadataListen: string
  readonly dnsListen: string
  /** Whether a missing bridge is made: `auto` makes `docker0` only where no Docker is installed. */
  readonly createBridge: "auto" | "always" | "never"
  /** How long a released address rests before it is given again, milliseconds. */
  readonly quarantineMs: number
  readonly logLevel: "debug" | "info" | "warning" | "error"
}

/** Everything that a set of files gave. Networks are there even when others had errors. */
export interface Configuration {
  readonly networks: readonly Network[]
  readonly agent: AgentSettings
  readonly diagnostics: readonly Diagnostic[]
}
