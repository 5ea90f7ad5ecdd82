/** What carries a network between hosts. One sibling folder per kind. */

import type { DriverKind } from "../config/network.ts"
import type { KeyedDriver } from "./keyed_driver.ts"

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
  /** The bridge that has the containers; undefined until the first one is attached. */
  readonly bridge: string | undefined
  /** MTU of the links to other hosts, bytes. */
  readonly underlayMtu: number
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

/** A driver that makes its own keys, and mixes one in that both ends know. */
export interface PresharedDriver {
  /**
   * Gives a host's peer a key that both ends know, now or when it is put. Before anything is said,
   * the kernel keeps what an earlier instance gave it.
   *
   * @param key 32 bytes; undefined: none
   * @throws LariatError internal for a key of another length; NetlinkError
   */
  setPresharedKey(hostId: string, key: Uint8Array | undefined): void
}

/**
 * Configures the kernel for one network on this host. All methods are idempotent and synchronous:
 * the kernel answers a netlink request within the call. What a driver makes stays when it is
 * closed, and is found again by the next one: a restart touches no packet.
 */
export interface Driver {
  readonly kind: DriverKind
  /** The device that remote blocks are routed to; undefined where it is an underlay link. */
  readonly device: string | undefined
  /** What other hosts must know of this one's driver. */
  readonly parameters: Readonly<Record<string, string>>
  /** Where it sends under keys that the hosts agree on. */
  readonly keyed?: KeyedDriver | undefined
  /** Where it takes a key for each pair of hosts. */
  readonly preshared?: PresharedDriver | undefined

  /**
   * Makes what stands before any peer does: device, own overlay address, what blocks clear text.
   *
   * @throws LariatError `kernel-unsupported` with what is missing
   */
  prepare(self: OverlaySelf): void
  /** Takes a peer in, or what changed of it. Nothing is asked of the kernel when nothing did. */
  putPeer(peer: OverlayPeer): void
  removePeer(hostId: string): void
  /** Compares the kernel with what was asked for, mends it, and says what it mended. */
  repair(): readonly string[]
  links(): readonly PeerLink[]
  /** Forgets; the kernel keeps everything. */
  close(): void
  /** Takes everything out of the kernel. @throws TeardownError */
  remove(): void
}
