import type { ErrorCode } from "../errors.ts"
import type { ClusterReport } from "./cluster/report.ts"

/** What `lariat status` and `lariat endpoints` are told. Scripts read these: add, never rename. */

export interface SubnetReport {
  readonly cidr: string
  readonly gateway: string
  /** Addresses that may be given out. */
  readonly size: number
  readonly used: number
  /** Released a moment ago, not given again yet. */
  readonly quarantined: number
  readonly free: number
}

export interface NetworkReport {
  readonly name: string
  readonly driver: string
  /** Names by which a CNI configuration reaches it. */
  readonly cniNames: readonly string[]
  /** Whether it is from the agent's YAML or from a runtime's CNI configuration. */
  readonly source: "config" | "netconf"
  readonly subnets: readonly SubnetReport[]
}

/** A network that this host cannot have. */
export interface ForeignReport {
  readonly name: string
  /** As in "is for Windows hosts: its kind is nat". */
  readonly why: string
}

/** The DNS server's figures, since it began to listen. */
export interface DnsReport {
  /** Address and port. */
  readonly listen: string
  readonly listening: boolean
  /** Of containers, services and reverse lookups. */
  readonly names: number
  readonly queries: number
  /** Asked of other servers. */
  readonly recursed: number
  /** Answered from what other servers had said before. */
  readonly cached: number
  /** Without an answer of any other server. */
  readonly failed: number
  /** From outside, over a client's share, or no queries at all. */
  readonly dropped: number
  /** The other servers: those of the host's resolv.conf. */
  readonly servers: readonly string[]
}

/** The metadata API. */
export interface MetadataReport {
  /** Address and port. */
  readonly listen: string
}

/** What one source may ask of metadata and DNS. */
export interface LimitReport {
  /** Its setting. */
  readonly name: string
  /** 0 where it is switched off, or the kernel cannot hold it. */
  readonly limit: number
  /** Packets beyond it, since its rule was made. */
  readonly dropped: number
}

/** Ports that may send under their own addresses alone. */
export interface GuardReport {
  readonly ports: number
  /** Frames that were dropped since the table was made, by what was wrong. */
  readonly dropped: Readonly<Record<string, number>>
}

/** What nobody may send, and somebody did. */
export interface DropReport {
  readonly name: string
  /** Packets since its rules were made. */
  readonly dropped: number
}

export interface ProblemReport {
  readonly severity: "error" | "warning"
  readonly what: string
  readonly hint?: string | undefined
  /** Where a script may want to know it by more than its words. */
  readonly code?: ErrorCode | undefined
}

export interface RepairReport {
  /** ISO 8601. */
  readonly at: string
  readonly what: string
}

/** The latest calls of one CNI command that went well, from the read request to the answer. */
export interface CallReport {
  readonly command: string
  /** All since the agent started; the times are of the latest 256. */
  readonly count: number
  readonly medianMs: number
  readonly p90Ms: number
}

export interface StatusReport {
  readonly agent: {
    readonly version: string
    readonly build: string
    readonly runtime: string
    readonly pid: number
    readonly uptimeSeconds: number
    readonly stateDir: string
    readonly rssBytes: number
  }
  readonly host: { readonly name: string; readonly ip: string | null; readonly uuid: string }
  readonly networks: readonly NetworkReport[]
  /** Of the configuration, for hosts of another system: nothing is made of them here. */
  readonly foreign: readonly ForeignReport[]
  readonly endpoints: {
    readonly attached: number
    readonly attaching: number
    readonly detaching: number
  }
  readonly calls: readonly CallReport[]
  /** Null where it is switched off. */
  readonly dns: DnsReport | null
  readonly metadata: MetadataReport
  /** Empty without a firewall. */
  readonly limits: readonly LimitReport[]
  readonly antiSpoofing: GuardReport
  /** Empty without a firewall. */
  readonly guards: readonly DropReport[]
  /** Null for a host alone. */
  readonly cluster: ClusterReport | null
  readonly problems: readonly ProblemReport[]
  /** What the agent mended, newest last. */
  readonly repairs: readonly RepairReport[]
}

export interface EndpointReport {
  readonly network: string
  readonly containerId: string
  readonly ifname: string
  readonly kind: string
  readonly state: string
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly mac: string | null
  readonly mtu: number | null
  readonly hostLink: string | null
  readonly name: string
  /** ISO 8601. */
  readonly since: string
}
