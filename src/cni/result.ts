/**
 * What an attachment has, apart from how any CNI version writes it: see result_format.ts and
 * result_parse.ts for the writing.
 */

/** An interface of the attachment: in the host, or in the container where `sandbox` is set. */
export interface AttachInterface {
  readonly name: string
  readonly mac?: string | undefined
  /** Bytes. */
  readonly mtu?: number | undefined
  /** Path of the network namespace; undefined: the host's. */
  readonly sandbox?: string | undefined
  readonly socketPath?: string | undefined
  readonly pciID?: string | undefined
}

/** An address of the attachment. */
export interface AttachIp {
  /** Canonical text with prefix length. */
  readonly address: string
  /** Canonical text. */
  readonly gateway?: string | undefined
  /** Index into {@link AttachResult.interfaces}; undefined in the result of an IPAM plugin. */
  readonly interface?: number | undefined
}

/** A route of the attachment, in the container. */
export interface AttachRoute {
  /** Canonical text with prefix length. */
  readonly dst: string
  /** Canonical text; undefined: the gateway of the address, or on-link. */
  readonly gw?: string | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  readonly priority?: number | undefined
  readonly table?: number | undefined
  readonly scope?: number | undefined
}

/** What the container's resolver should be told. */
export interface AttachDns {
  readonly nameservers: readonly string[]
  readonly domain?: string | undefined
  readonly search: readonly string[]
  readonly options: readonly string[]
}

/** The result of an ADD, or of an IPAM plugin (which knows no interfaces). */
export interface AttachResult {
  readonly interfaces: readonly AttachInterface[]
  readonly ips: readonly AttachIp[]
  readonly routes: readonly AttachRoute[]
  readonly dns: AttachDns
}

export const NO_DNS: AttachDns = { nameservers: [], search: [], options: [] }

/** The keys of interfaces that came with CNI 1.1.0. */
export const EXTENDED_INTERFACE_KEYS = ["mtu", "socketPath", "pciID"] as const

/** The keys of routes that came with CNI 1.1.0; numbers, as in {@link AttachRoute}. */
export const EXTENDED_ROUTE_KEYS = ["mtu", "advmss", "priority", "table", "scope"] as const
