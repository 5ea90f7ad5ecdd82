/**
 * The peers that a WireGuard device is to have, compared with those that it has. Peers and their
 * prefixes are rows of their own, so that no moment comes in which a prefix is missing or at a peer
 * that should not have it: the kernel's own replacing of a peer's prefixes empties the list first.
 */

import type { MessageWriter } from "../../netlink/message.ts"
import type { NetlinkSocket } from "../../netlink/socket.ts"
import { sameKey } from "../../netlink/wireguard/codec.ts"
import type { PeerChange, WireguardPeer } from "../../netlink/wireguard/wireguard.ts"
import type { IpEndpoint as Endpoint } from "../../sys/net/ip_endpoint.ts"
import { type KernelPart, KernelTable } from "../kernel_table.ts"

/** What a host's peer is to be. */
export interface WantedPeer {
  /** base64, 32 bytes. */
  readonly publicKey: string
  readonly endpoint: Endpoint
  /** Seconds; 0 for none. */
  readonly keepalive: number
  /** A key that both hosts know, 32 bytes; undefined: whatever the kernel has stays. */
  readonly presharedKey: Uint8Array | undefined
  /** Canonical prefixes. */
  readonly allowedIps: readonly string[]
}

/** What {@link PeerTable} works with. */
export interface PeerTableOptions {
  readonly socket: Pick<NetlinkSocket, "tryAll">
  /** The peers that the device has. @throws NetlinkError */
  readonly read: () => readonly WireguardPeer[]
  /** What asks for changes of peers, in order. */
  readonly message: (changes: readonly PeerChange[]) => MessageWriter
  readonly random: (bytes: number) => Uint8Array
  /** Milliseconds of the wall clock, which the kernel tells handshakes in. */
  readonly now: () => number
}

interface PeerRow {
  readonly publicKey: string
  /** For people: the host, else the key. */
  readonly name: string
  readonly endpoint: Endpoint | undefined
  readonly keepalive: number
  readonly presharedKey: Uint8Array | undefined
  /** What it announced when its endpoint was set, though it may be elsewhere; undefined: unknown. */
  announced: string | undefined
}

interface PrefixRow {
  readonly prefix: string
  readonly publicKey: string
}

/** Milliseconds after which a session is not used any more: REJECT_AFTER_TIME, whitepaper §6.1. */
const SESSION_MS = 180_000
const KEY_BYTES = 32
const NO_KEY = new Uint8Array(KEY_BYTES)

export class PeerTable {
  readonly #options: PeerTableOptions
  readonly #peers: KernelTable<PeerRow>
  readonly #prefixes: KernelTable<PrefixRow>
  /** Peers, then what they have; in this order they are to be read and brought. */
  readonly parts: readonly KernelPart[]
  /** As they were read last. */
  #read: readonly WireguardPeer[] = []

  constructor(options: PeerTableOptions) {
    const { socket, message } = options
    this.#options = options
    this.#peers = new KernelTable<PeerRow>(socket, {
      what: "peer",
      key: ({ publicKey }) => publicKey,
      describe: ({ name }) => name,
      same: (wanted, found) =>
        Object.values(difference(wanted, found)).every((part) => part === undefined),
      add: (wanted, found) =>
        message([{ publicKey: bytesOf(wanted.publicKey), ...difference(wanted, found) }]),
      remove: ({ publicKey }) => message([{ publicKey: bytesOf(publicKey), remove: true }]),
      list: (before) => this.#list(before),
    })
    this.#prefixes = new KernelTable<PrefixRow>(socket, {
      what: "prefix",
      key: ({ prefix }) => prefix,
      same: (wanted, found) => wanted.publicKey === found.publicKey,
      add: ({ prefix, publicKey }) =>
        message([{ publicKey: bytesOf(publicKey), allowedIps: [prefix] }]),
      remove: (row) => message(this.#dispose(row)),
      list: () =>
        this.#read.flatMap(({ publicKey, allowedIps }) =>
          allowedIps.map((prefix) => ({ prefix, publicKey: publicKey.toBase64() })),
        ),
    })
    this.parts = [this.#peers, this.#prefixes]
  }

  /** The host that has a public key. */
  holderOf(publicKey: string): string | undefined {
    return this.#peers.ownerOf(publicKey)
  }

  /** Says what a host's peer is to be; undefined: there is to be none. */
  desired(hostId: string, peer: WantedPeer | undefined): void {
    const { publicKey = "", allowedIps = [] } = peer ?? {}
    const row = peer && { ...peer, name: hostId, announced: textOf(peer.endpoint) }
    this.#peers.desired(hostId, row === undefined ? [] : [row])
    const prefixes = allowedIps.map((prefix) => ({ prefix, publicKey }))
    this.#prefixes.desired(hostId, prefixes)
  }

  #list(before: ReadonlyMap<string, PeerRow>): PeerRow[] {
    this.#read = this.#options.read()
    return this.#read.map((peer) => {
      const publicKey = peer.publicKey.toBase64()
      // Where it is heard from counts as long as it is heard from; then what it announces does.
      const announced = this.#isHeard(peer)
        ? before.get(publicKey)?.announced
        : textOf(peer.endpoint)
      return { ...peer, publicKey, name: publicKey, announced }
    })
  }

  #isHeard({ lastHandshake }: WireguardPeer): boolean {
    return lastHandshake !== undefined && this.#options.now() - lastHandshake < SESSION_MS
  }

  /**
   * Takes a prefix from who has it: kernels before 6.16 cannot say that, but a prefix that is given
   * to a peer made for that leaves its old one, and goes with the new one.
   */
  #dispose({ prefix, publicKey }: PrefixRow): PeerChange[] {
    const old = { publicKey: bytesOf(publicKey), remove: true }
    if (this.holderOf(publicKey) === undefined) return [old]
    const maker = this.#options.random(KEY_BYTES)
    return [
      { publicKey: maker, allowedIps: [prefix] },
      { publicKey: maker, remove: true },
    ]
  }
}

/** What of a peer is to change; takes note that one of an earlier instance is where it may be. */
function difference(wanted: PeerRow, found: PeerRow | undefined): Omit<PeerChange, "publicKey"> {
  if (found !== undefined) found.announced ??= wanted.announced
  const moved = found?.announced !== wanted.announced
  const { keepalive, presharedKey } = wanted
  const known = found?.presharedKey ?? NO_KEY
  return {
    endpoint: moved ? wanted.endpoint : undefined,
    keepalive: keepalive === (found?.keepalive ?? 0) ? undefined : keepalive,
    presharedKey: sameKey(presharedKey ?? known, known) ? undefined : presharedKey,
  }
}

function bytesOf(key: string): Uint8Array {
  return Uint8Array.fromBase64(key)
}

function textOf(endpoint: Endpoint | undefined): string {
  return endpoint === undefined ? "" : `${endpoint.address} ${endpoint.port}`
}
