/**
 * The peers that a WireGuard device is to have, compared with those that it has. Only differences
 * are asked for, and in steps that leave no moment in which a prefix is missing or at a peer that
 * should not have it: the kernel's own replacing of a peer's prefixes empties the list first.
 */

import type { Endpoint } from "../../netlink/socket_address.ts"
import { sameKey } from "../../netlink/wireguard/codec.ts"
import type { PeerChange, WireguardPeer } from "../../netlink/wireguard/wireguard.ts"

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

/** Changes to ask the kernel for, in order. */
export interface PeerChanges {
  readonly changes: readonly PeerChange[]
  /** What they do, for people. */
  readonly did: readonly string[]
  /** To be called when the kernel did them all. */
  done(): void
}

interface Found extends Omit<WireguardPeer, "allowedIps" | "rxBytes" | "txBytes"> {
  readonly allowedIps: Set<string>
}

/** Milliseconds after which a session is not used any more: REJECT_AFTER_TIME, whitepaper §6.1. */
const SESSION_MS = 180_000
const KEY_BYTES = 32
const NO_KEY = new Uint8Array(KEY_BYTES)

export class PeerTable {
  readonly #random: (bytes: number) => Uint8Array
  readonly #now: () => number
  readonly #wanted = new Map<string, WantedPeer>()
  /** By prefix: who wants it; the last to ask has it. */
  readonly #claims = new Map<string, Set<string>>()
  /** By public key: the host that has it. */
  readonly #holders = new Map<string, string>()
  readonly #found = new Map<string, Found>()
  /** By prefix: the public key that has it in the kernel. */
  readonly #at = new Map<string, string>()
  /** By public key: the address that was set, or that stands although the peer is elsewhere now. */
  readonly #settled = new Map<string, string>()
  readonly #touched = new Set<string>()
  /** Public keys that nobody has any more. */
  readonly #gone = new Set<string>()

  /** @param now milliseconds of the wall clock, which the kernel tells handshakes in */
  constructor(random: (bytes: number) => Uint8Array, now: () => number) {
    this.#random = random
    this.#now = now
  }

  /** The host that has a public key. */
  holderOf(publicKey: string): string | undefined {
    return this.#holders.get(publicKey)
  }

  /** Says what the kernel has now. Peers that nobody asked for stay until {@link sweep}. */
  observed(peers: readonly WireguardPeer[]): void {
    this.#found.clear()
    this.#at.clear()
    for (const peer of peers) {
      const key = peer.publicKey.toBase64()
      const found = { ...peer, allowedIps: new Set(peer.allowedIps) }
      this.#found.set(key, found)
      for (const prefix of peer.allowedIps) this.#at.set(prefix, key)
      // Where it is heard from counts as long as it is heard from; then what it announces does.
      if (textOf(peer.endpoint) !== this.#settled.get(key) && !this.#isHeard(found)) {
        this.#settled.delete(key)
      }
    }
    for (const key of [...this.#settled.keys()]) {
      if (!this.#found.has(key)) this.#settled.delete(key)
    }
    for (const hostId of this.#wanted.keys()) this.#touched.add(hostId)
  }

  /** Says what a host's peer is to be; undefined: there is to be none. */
  desired(hostId: string, peer: WantedPeer | undefined): void {
    const before = this.#wanted.get(hostId)
    if (before !== undefined) this.#giveUp(hostId, before, peer)
    this.#touched.add(hostId)
    if (peer === undefined) {
      this.#wanted.delete(hostId)
      return
    }
    this.#wanted.set(hostId, peer)
    this.#holders.set(peer.publicKey, hostId)
    this.#gone.delete(peer.publicKey)
    for (const prefix of peer.allowedIps) {
      const claims = this.#claims.get(prefix) ?? new Set<string>()
      this.#claims.set(prefix, claims.add(hostId))
    }
  }

  /** Compares all, the peers that nobody asked for too. */
  sweep(): void {
    for (const key of this.#found.keys()) if (!this.#holders.has(key)) this.#gone.add(key)
    for (const hostId of this.#wanted.keys()) this.#touched.add(hostId)
  }

  /** Whether the kernel has a host's peer as wanted, as far as is known. */
  complete(hostId: string): boolean {
    const wanted = this.#wanted.get(hostId)
    return wanted !== undefined && this.#difference(hostId, wanted) === undefined
  }

  /** New peers, and what of a peer is to change or to come to it. */
  additions(): PeerChanges {
    const changes: PeerChange[] = []
    const did: string[] = []
    const applied: (() => void)[] = []
    for (const hostId of this.#touched) {
      const wanted = this.#wanted.get(hostId)
      const difference = wanted && this.#difference(hostId, wanted)
      if (wanted === undefined || difference === undefined) continue
      changes.push(difference.change)
      did.push(difference.did)
      applied.push(() => this.#apply(wanted, difference.change))
    }
    return { changes, did, done: () => applied.forEach((apply) => void apply()) }
  }

  /** Peers, and prefixes of peers, that nobody wants any more. To be asked for after additions. */
  removals(): PeerChanges {
    const changes: PeerChange[] = []
    const did: string[] = []
    const gone = [...this.#gone].filter((key) => this.#found.has(key))
    for (const key of gone) {
      changes.push({ publicKey: Uint8Array.fromBase64(key), remove: true })
      did.push(`removed peer ${key}`)
    }
    const leftovers: string[] = []
    for (const hostId of this.#touched) {
      const surplus = this.#surplus(hostId)
      if (surplus.length > 0) did.push(`removed ${surplus.join(", ")} from peer ${hostId}`)
      leftovers.push(...surplus)
    }
    if (leftovers.length > 0) changes.push(...this.#dispose(leftovers))
    return {
      changes,
      did,
      done: () => {
        for (const key of gone) {
          for (const prefix of this.#found.get(key)?.allowedIps ?? []) this.#at.delete(prefix)
          this.#found.delete(key)
          this.#settled.delete(key)
        }
        for (const prefix of leftovers) this.#takeAway(prefix)
        this.#gone.clear()
        this.#touched.clear()
      },
    }
  }

  #giveUp(hostId: string, before: WantedPeer, now: WantedPeer | undefined): void {
    if (before.publicKey !== now?.publicKey) {
      this.#holders.delete(before.publicKey)
      this.#gone.add(before.publicKey)
    }
    for (const prefix of before.allowedIps) {
      if (now?.allowedIps.includes(prefix)) continue
      const claims = this.#claims.get(prefix)
      claims?.delete(hostId)
      if (claims?.size === 0) this.#claims.delete(prefix)
      const heir = this.#ownerOf(prefix)
      if (heir !== undefined) this.#touched.add(heir)
    }
  }

  #ownerOf(prefix: string): string | undefined {
    return [...(this.#claims.get(prefix) ?? [])].at(-1)
  }

  #difference(
    hostId: string,
    wanted: WantedPeer,
  ): { readonly change: PeerChange; readonly did: string } | undefined {
    const found = this.#found.get(wanted.publicKey)
    const fresh = wanted.allowedIps.filter(
      (prefix) => this.#ownerOf(prefix) === hostId && found?.allowedIps.has(prefix) !== true,
    )
    const presharedKey = wanted.presharedKey ?? found?.presharedKey ?? NO_KEY
    const parts = {
      endpoint: this.#isAt(wanted, found) ? undefined : wanted.endpoint,
      keepalive: (found?.keepalive ?? 0) === wanted.keepalive ? undefined : wanted.keepalive,
      presharedKey: sameKey(presharedKey, found?.presharedKey ?? NO_KEY) ? undefined : presharedKey,
      allowedIps: fresh.length === 0 ? undefined : fresh,
    }
    const changed = Object.entries(parts).flatMap(([what, value]) =>
      value === undefined ? [] : [NAMES[what] ?? what],
    )
    if (found !== undefined && changed.length === 0) return undefined
    const publicKey = Uint8Array.fromBase64(wanted.publicKey)
    const did =
      found === undefined
        ? `added peer ${hostId}`
        : `changed ${changed.join(" and ")} of peer ${hostId}`
    return { change: { publicKey, ...parts }, did }
  }

  #isAt(wanted: WantedPeer, found: Found | undefined): boolean {
    if (found === undefined) return false
    const there = textOf(wanted.endpoint)
    const settled = this.#settled.get(wanted.publicKey)
    if (settled !== undefined) return settled === there
    // One that an earlier instance made may be behind a NAT, and is where it is heard from.
    const stands = textOf(found.endpoint) === there || this.#isHeard(found)
    if (stands) this.#settled.set(wanted.publicKey, there)
    return stands
  }

  #isHeard({ lastHandshake }: Found): boolean {
    return lastHandshake !== undefined && this.#now() - lastHandshake < SESSION_MS
  }

  #apply(wanted: WantedPeer, change: PeerChange): void {
    const before = this.#found.get(wanted.publicKey)
    const allowedIps = before?.allowedIps ?? new Set<string>()
    for (const prefix of change.allowedIps ?? []) {
      this.#takeAway(prefix)
      this.#at.set(prefix, wanted.publicKey)
      allowedIps.add(prefix)
    }
    if (change.endpoint !== undefined) this.#settled.set(wanted.publicKey, textOf(change.endpoint))
    this.#found.set(wanted.publicKey, {
      publicKey: change.publicKey,
      presharedKey: change.presharedKey ?? before?.presharedKey ?? NO_KEY,
      endpoint: change.endpoint ?? before?.endpoint,
      keepalive: change.keepalive ?? before?.keepalive ?? 0,
      lastHandshake: before?.lastHandshake,
      allowedIps,
    })
  }

  #takeAway(prefix: string): void {
    this.#found.get(this.#at.get(prefix) ?? "")?.allowedIps.delete(prefix)
    this.#at.delete(prefix)
  }

  /** Prefixes that the kernel lets a host's peer have and that are nobody's. */
  #surplus(hostId: string): string[] {
    const wanted = this.#wanted.get(hostId)
    const found = wanted && this.#found.get(wanted.publicKey)
    return [...(found?.allowedIps ?? [])].filter((prefix) => this.#ownerOf(prefix) === undefined)
  }

  /**
   * Takes prefixes from whoever has them: kernels before 6.16 cannot say that, but a prefix that
   * is given to a peer made for that leaves its old one, and goes with the new one.
   */
  #dispose(prefixes: readonly string[]): PeerChange[] {
    const publicKey = this.#random(KEY_BYTES)
    return [
      { publicKey, allowedIps: prefixes },
      { publicKey, remove: true },
    ]
  }
}

const NAMES: Readonly<Record<string, string>> = {
  presharedKey: "preshared key",
  allowedIps: "prefixes",
}

function textOf(endpoint: Endpoint | undefined): string {
  return endpoint === undefined ? "" : `${endpoint.address} ${endpoint.port}`
}
