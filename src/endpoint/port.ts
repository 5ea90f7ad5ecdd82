/** What the endpoint room is asked for and what it answers. Addresses are canonical text. */

export interface RouteSpec {
  /** Destination prefix, for instance `0.0.0.0/0`. */
  readonly dst: string
  /** Next hop; undefined means on-link. */
  readonly gw?: string | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  readonly priority?: number | undefined
  readonly table?: number | undefined
  readonly scope?: number | undefined
}

/** A veth pair that is to be: one end a port of the bridge, the other born in the container. */
export interface PortSpec {
  readonly hostName: string
  /** Name of the interface inside the container. */
  readonly ifname: string
  readonly bridgeIndex: number
  readonly mac: string
  /** MTU of both ends, bytes. */
  readonly mtu: number
  /** With prefix length. */
  readonly addresses: readonly string[]
  readonly routes: readonly RouteSpec[]
  readonly hairpin: boolean
  /** IFLA_IFALIAS of the host end, for people who look at `ip link`. */
  readonly alias: string
}

/** A veth pair that is. */
export interface Port {
  readonly hostName: string
  readonly hostIndex: number
  readonly hostMac: string
  readonly containerIndex: number
  readonly mac: string
  readonly mtu: number
}

/** An interface that another engine made in the container, and that we add an address to. */
export interface AdoptedPort {
  readonly containerIndex: number
  readonly hostName: string
  readonly hostIndex: number
  readonly mac: string
  readonly mtu: number
  /** The addresses it had before ours, with prefix length, without link-local ones. */
  readonly ownAddresses: readonly string[]
}
