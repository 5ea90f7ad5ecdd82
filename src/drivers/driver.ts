/** What carries a network between hosts. One sibling folder per kind. */

import type { DriverKind } from "../config/network.ts"
import type { KeyedDriver } from "./keyed_driver.ts"
import type { PeerGate } from "./peer_gate.ts"

/** This host's part in a network. */
export interface OverlaySelf {
  readonly hostId: string
  /** Addresses at which other hosts reach this one, without prefix length. */
  readonly underlay: readonly string[]
  /** This host's own addresses on the network, one per family: the source of what the host sends. */
  readonly overlay: readonly string[]
  /** Blocks of addresses that this host holds, canonical. */
  readonly blocks: readonly string[]
}

/** Another host's part in a network, checked: nobody else claims any of it. */
export interface OverlayPeer extends OverlaySelf {
  readonly name: string
  /** Its place among all hosts, 1 to 65535: part of SPIs. */
  readonly number: number
  /** Of the path to it as far as known, bytes; else undefined. */
  readonly mtu: number | undefined
  /** What its driver of the same kind says of itself: a VTEP's MAC, a WireGuard key, a UDP port. */
  readonly parameters: Readonly<Record<string, string>>
}

/** One network as its driver sees it. */
export interface OverlayNetwork {
  readonly name: string
  /** 0 to 15, the same on all hosts; part of SPIs and interface ids. */
  readonly number: number
  /** Canonical, one or more per family. */
  readonly subnets: readonly string[]
  /** MTU of the links to other hosts, bytes; it may change. */
  readonly underlayMtu: number
  /** Hears of what comes from peers. Default: nobody does. */
  readonly gate?: PeerGate | undefined
}

/** What the kernel tells of the way to a peer. */
export interface PeerLink {
  readonly hostId: string
  /** The address outside that is used. */
  readonly remote: string | undefined
  /** Whether traffic can be sent now, as far as the kernel's configuration goes. */
  readonly ready: boolean
  /** One sentence where it cannot. */
  readonly reason?: string | undefined
  readonly txBytes: number
  readonly rxBytes: number
  readonly txPackets: number
  readonly rxPackets: number
  /** When both ends last agreed on a key, milliseconds of the wall clock; where the kernel tells. */
  readonly lastHandshake?: number | undefined
}

/** What a network is to be on this host, the whole of it. */
export interface OverlayDesired {
  readonly self: OverlaySelf
  /** Whether room is kept for a UDP header, where a driver may need one. */
  readonly udp: boolean
  /** By host id; one that changed is another object. */
  readonly peers: ReadonlyMap<string, OverlayPeer>
  /** Whether every peer is named: only then what an earlier run left of others goes. */
  readonly complete: boolean
}

/**
 * Configures the kernel for one network on this host. All methods are idempotent and synchronous:
 * the kernel answers a netlink request within the call. What a driver makes stays when it is
 * closed, and is found again by the next one: a restart touches no packet.
 */
export interface Driver {
  readonly kind: DriverKind
  /** What other hosts must know of this one's driver; empty before it is {@link isReady}. */
  readonly parameters: Readonly<Record<string, string>>
  /** Whether what stands before any peer does was made: device, own address, what blocks clear text. */
  readonly isReady: boolean
  /** Where it sends under keys that the hosts agree on. */
  readonly keyed?: KeyedDriver | undefined

  /**
   * Brings the kernel to what is wanted; to be called with each change, and again after a failure.
   * Asks the kernel for what differs alone: from what it had when it was read last, and what was
   * done since.
   *
   * @param reread reads what the kernel has first, and mends it
   * @returns what was done
   * @throws LariatError what failed, as one; what does not rely on it is done all the same. Of these
   *   `kernel-unsupported` says what is missing
   */
  set(desired: OverlayDesired, reread?: boolean): readonly string[]
  links(): readonly PeerLink[]
  /** Forgets; the kernel keeps everything. */
  close(): void
  /** Takes everything out of the kernel. @throws TeardownError */
  remove(): void
}
