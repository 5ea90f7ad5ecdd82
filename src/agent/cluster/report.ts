/** What `lariat peers`, `blocks` and `rotate` are told. Scripts read these: add, never rename. */

/** How traffic to a peer goes, by what was tried. */
export type PeerState = "up" | "degraded" | "down" | "unknown"

/** One network to one peer. */
export interface PeerPathReport {
  readonly network: string
  readonly driver: string
  readonly state: PeerState
  /** Why it is not up. */
  readonly reason: string | null
  /** ISO 8601; since when it is so. */
  readonly since: string | null
  /** Largest packet that came through where the full size does not, bytes. */
  readonly mtu: number | null
  /** Smoothed round trip, milliseconds. */
  readonly rttMs: number | null
  /** The peer's own address on the network. */
  readonly overlay: readonly string[]
  readonly txBytes: number
  readonly rxBytes: number
}

/** One other host. */
export interface PeerReport {
  readonly hostId: string
  readonly name: string
  readonly number: number
  /** Of its identity, for people to compare: `SHA256:…`. */
  readonly fingerprint: string | null
  /** Address at which it is reached. */
  readonly address: string | null
  /** Whether the store counts it as there. */
  readonly alive: boolean
  readonly blocks: readonly string[]
  readonly paths: readonly PeerPathReport[]
}

/** One block of addresses. */
export interface BlockReport {
  readonly network: string
  readonly block: string
  readonly hostId: string
  readonly host: string
  readonly mine: boolean
  /** `gone`: its host is silent for longer than its lease. */
  readonly state: "held" | "gone"
  /** Addresses given and to give; null for a block of another host. */
  readonly used: number | null
  readonly free: number | null
}

/** The keys of this host. */
export interface RotationReport {
  /** Counts up with every new set of keys. */
  readonly generation: number
  /** Whether every live peer uses the newest keys and no older ones are left. */
  readonly settled: boolean
  /** Names of the peers that have not acknowledged the newest keys. */
  readonly waitingFor: readonly string[]
}

/** This host's part in the cluster. */
export interface ClusterReport {
  readonly name: string
  readonly hostNumber: number | null
  readonly store: {
    readonly kind: string
    readonly endpoint: string
    readonly reachable: boolean
    readonly reason: string | null
  }
  readonly hosts: number
  readonly peers: { readonly up: number; readonly degraded: number; readonly down: number }
  readonly rotation: RotationReport | null
}
