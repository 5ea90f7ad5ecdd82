/**
 * WireGuard between hosts: one device for each network, one peer for each host. The private key
 * is made here and stays in the kernel: the next instance reads it back, so that a restart
 * touches no packet. It never leaves this process.
 */

import { type Family, familyOf } from "../../core/address.ts"
import { overheadOf } from "../../core/overhead.ts"
import { LariatError, runAll } from "../../errors.ts"
import { NETLINK_GENERIC, NETLINK_ROUTE } from "../../netlink/constants.ts"
import { newLink } from "../../netlink/route/link.ts"
import type { RouteInfo } from "../../netlink/route/route.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { WG_KEY_LEN } from "../../netlink/wireguard/constants.ts"
import type { WireguardPeer } from "../../netlink/wireguard/wireguard.ts"
import { currentNetns, type Netns } from "../../sys/netns/netns.ts"
import type {
  Driver,
  OverlayNetwork,
  OverlayPeer,
  OverlaySelf,
  PeerLink,
  PresharedDriver,
} from "../driver.ts"
import { settle } from "../kernel_table.ts"
import { type DeviceSpec, deviceTrouble, isDeviceGone, OverlayDevice } from "../overlay_device.ts"
import { OverlayRoutes } from "../overlay_routes.ts"
import { PeerPlans } from "../peer_plans.ts"
import { checkOwnAddresses, NO_COUNTERS } from "../peer_routes.ts"
import { waysTo, wayTrouble } from "../peer_ways.ts"
import { ownFamily } from "../underlay_address.ts"
import { type KeyPair, WireguardControl } from "./control.ts"
import { type PeerChanges, PeerTable } from "./peer_table.ts"
import { planPeer, type WireguardPlan, wireguardParameters } from "./plan.ts"

/** Settings of {@link WireguardDriver}. */
export interface WireguardOptions {
  /** UDP port. Default 51820. */
  readonly port?: number | undefined
  /** Seconds between packets that keep a NAT open, to every peer. Default 0, none. */
  readonly keepalive?: number | undefined
  /** Of addresses outside, where both hosts have it. Default IPv4 where this host has one. */
  readonly family?: Family | undefined
  /** Milliseconds of the wall clock. Default Date.now. */
  readonly now?: (() => number) | undefined
}

const DEFAULT_PORT = 51_820

/** What {@link WireguardDriver.prepare} found or made. */
interface Ready {
  readonly self: OverlaySelf
  readonly family: Family
  readonly keys: KeyPair
}

export class WireguardDriver implements Driver, PresharedDriver {
  readonly kind = "wireguard"
  readonly preshared: PresharedDriver = this
  /** `lrw` and the network's number. */
  readonly device: string
  readonly #network: OverlayNetwork
  readonly #options: WireguardOptions
  readonly #port: number
  readonly #socket: NetlinkSocket
  readonly #generic: NetlinkSocket
  readonly #netns: Netns
  readonly #routes: OverlayRoutes
  readonly #device: OverlayDevice
  readonly #control: WireguardControl
  readonly #table: PeerTable
  readonly #peers = new PeerPlans<WireguardPlan>({
    plan: (peer) => this.#plan(peer),
    desired: (hostId, { wanted, routes }) => {
      this.#table.desired(hostId, wanted)
      this.#routes.desired(hostId, routes)
    },
  })
  #ready: Ready | undefined

  private constructor(
    network: OverlayNetwork,
    random: (bytes: number) => Uint8Array,
    options: WireguardOptions,
    sockets: { readonly route: NetlinkSocket; readonly generic: NetlinkSocket },
  ) {
    this.#network = network
    this.#options = options
    this.#port = options.port ?? DEFAULT_PORT
    this.#socket = sockets.route
    this.#generic = sockets.generic
    this.device = `lrw${network.number}`
    this.#control = new WireguardControl(sockets.generic, this.device, this.#port, random)
    this.#routes = new OverlayRoutes(sockets.route, network.subnets)
    this.#table = new PeerTable(random, options.now ?? Date.now)
    this.#netns = currentNetns()
    this.#device = new OverlayDevice(sockets.route, this.#netns, (dst) =>
      this.#routes.contains(dst),
    )
  }

  /**
   * A driver for the current network namespace. The kernel is not changed yet.
   *
   * @param random source of secret random bytes, for the private key
   * @throws SystemError; LariatError config-invalid
   */
  static open(
    network: OverlayNetwork,
    random: (bytes: number) => Uint8Array,
    options: WireguardOptions = {},
  ): WireguardDriver {
    const route = NetlinkSocket.open(NETLINK_ROUTE)
    let generic: NetlinkSocket | undefined
    try {
      generic = NetlinkSocket.open(NETLINK_GENERIC)
      return new WireguardDriver(network, random, options, { route, generic })
    } catch (error) {
      route.close()
      generic?.close()
      throw error
    }
  }

  /** `publicKey` (base64) and `port`; empty before {@link prepare}. */
  get parameters(): Readonly<Record<string, string>> {
    return this.#ready === undefined
      ? {}
      : wireguardParameters(this.#ready.keys.publicKey, this.#port)
  }

  /**
   * As the interface says; again when something of this host changed.
   *
   * @throws LariatError kernel-unsupported; ifname-exists; config-invalid for addresses that do
   *   not fit and a port that is taken; mtu-too-small; NetlinkError
   */
  prepare(self: OverlaySelf): void {
    checkOwnAddresses(self, this.#network, this.#routes)
    const family = this.#options.family ?? ownFamily(self.underlay)
    if (family === undefined) throw this.#noAddress()
    this.#ensureDevice(self, family)
    this.#load()
    this.#replan()
    this.#bring()
  }

  putPeer(peer: OverlayPeer): void {
    this.putPeers([peer])
  }

  /** {@link putPeer} for many at once: some datagrams to the kernel for a thousand peers. */
  putPeers(peers: readonly OverlayPeer[]): void {
    this.#peers.put(peers)
    this.#settle()
  }

  /** As the interface says; forgets the host's preshared key too. */
  removePeer(hostId: string): void {
    this.#table.forgetPresharedKey(hostId)
    const giveUp = () => {
      this.#table.desired(hostId, undefined)
      this.#routes.desired(hostId, [])
    }
    if (this.#peers.remove(hostId, giveUp)) this.#settle()
  }

  setPresharedKey(hostId: string, key: Uint8Array | undefined): void {
    if (key !== undefined && key.byteLength !== WG_KEY_LEN) {
      throw new LariatError(
        `Cannot give peer ${hostId} a preshared key: it has ${key.byteLength} bytes, not ${WG_KEY_LEN}`,
        { code: "internal" },
      )
    }
    this.#table.setPresharedKey(hostId, key?.slice())
    if (this.#peers.has(hostId)) this.#settle()
  }

  /**
   * As the interface says. Takes out what no peer that was put needs: to be called when all that
   * are known have been put.
   */
  repair(): readonly string[] {
    const { self, family } = this.#prepared()
    const did = this.#ensureDevice(self, family)
    this.#load()
    this.#replan()
    for (const table of [this.#table, this.#device, this.#routes]) table.sweep()
    return [...did, ...this.#bring()]
  }

  /** WireGuard counts bytes, and no packets: those are 0. */
  links(): readonly PeerLink[] {
    const known = this.#peers.all()
    const ways = waysTo(
      this.#socket,
      known.map(({ plan }) => plan.remote),
    )
    const trouble = deviceTrouble(this.#socket, this.device)
    const peers = trouble === undefined ? this.#readPeers() : undefined
    return known.map(({ peer: { hostId }, plan }) => {
      const { remote, wanted } = plan
      const peer = wanted === undefined ? undefined : peers?.get(wanted.publicKey)
      const why = trouble ?? this.#trouble(hostId, ways.get(remote ?? ""), peer !== undefined)
      return {
        hostId,
        remote: peer?.endpoint?.address ?? remote,
        ready: plan.routes.length > 0 && why === undefined,
        reason: plan.reason ?? why,
        ...NO_COUNTERS,
        txBytes: peer?.txBytes ?? 0,
        rxBytes: peer?.rxBytes ?? 0,
        lastHandshake: peer?.lastHandshake,
      }
    })
  }

  close(): void {
    this.#socket.close()
    this.#generic.close()
    this.#netns.close()
  }

  remove(): void {
    for (const { peer } of this.#peers.all()) this.#table.desired(peer.hostId, undefined)
    this.#peers.clear()
    runAll(`removing network ${this.#network.name}`, [
      () => this.#routes.clear(),
      () => this.#device.remove({ name: this.device, kind: "wireguard" }),
    ])
    this.#table.observed([])
  }

  #noAddress(): LariatError {
    return new LariatError(
      `Cannot carry network ${this.#network.name} in WireGuard: this host has no address to others`,
      { code: "config-invalid", hint: "Say which address others reach this host at (--host-ip)." },
    )
  }

  #prepared(): Ready {
    if (this.#ready === undefined) {
      throw new LariatError(`Cannot use ${this.device}: it is not prepared`, { code: "internal" })
    }
    return this.#ready
  }

  #ensureDevice(self: OverlaySelf, family: Family): string[] {
    const spec = this.#spec(self, family)
    const did = this.#device.ensure(spec)
    const key = this.#control.ensureKey(this.#device.index, this.#ready?.keys.privateKey)
    this.#ready = { self, family, keys: key.keys }
    return [...did, ...key.did]
  }

  #spec(self: OverlaySelf, family: Family): DeviceSpec {
    const { name, subnets } = this.#network
    return {
      name: this.device,
      kind: "wireguard",
      title: "WireGuard",
      network: name,
      mtu: this.#mtu(family),
      mac: undefined,
      ipv6: [...subnets, ...self.overlay].some((text) => familyOf(text) === 6),
      make: (link) => newLink("wireguard", link),
      unfit: () => undefined,
    }
  }

  #mtu(family: Family): number {
    return overheadOf("wireguard", { outer: this.#network.underlayMtu, family }).mtu
  }

  #load(): void {
    this.#routes.load()
    this.#device.load()
    this.#loadPeers()
  }

  #loadPeers(): void {
    this.#table.observed(this.#control.read(this.#device.index).peers)
  }

  /** Peers by public key; none of a device that was made anew by somebody else. */
  #readPeers(): Map<string, WireguardPeer> {
    try {
      const { peers } = this.#control.read(this.#device.index)
      return new Map(peers.map((peer) => [peer.publicKey.toBase64(), peer]))
    } catch (error) {
      if (isDeviceGone(error)) return new Map()
      throw error
    }
  }

  /** Plans anew for every peer where the device is another, or something of this host. */
  #replan(): void {
    const { self, family, keys } = this.#prepared()
    this.#device.wantAddresses(self.overlay)
    this.#peers.restOn(self, family, keys.publicKey, this.#device.index)
  }

  #plan(peer: OverlayPeer): WireguardPlan {
    const { self, family, keys } = this.#prepared()
    const { hostId } = peer
    return planPeer(
      {
        network: this.#network,
        ...{ self, family },
        publicKey: keys.publicKey,
        index: this.#device.index,
        mtu: this.#mtu(family),
        keepalive: this.#options.keepalive ?? 0,
        contains: (prefix) => this.#routes.contains(prefix),
        keyHolder: (key) => {
          const holder = this.#table.holderOf(key)
          return holder === hostId ? undefined : holder
        },
      },
      peer,
    )
  }

  /** A route comes when its peer is there, and goes before it. */
  #bring(): string[] {
    const did = [...this.#ask(this.#table.additions())]
    did.push(...settle(this.#socket, [this.#device.addresses, this.#routes.table]))
    did.push(...this.#ask(this.#table.removals()))
    return did
  }

  #ask({ changes, did, done }: PeerChanges): readonly string[] {
    if (changes.length > 0) {
      try {
        this.#control.change(this.#device.index, { peers: changes })
      } catch (error) {
        // A part may have been done: what the kernel has now is read before the next try.
        if (!isDeviceGone(error)) this.#loadPeers()
        throw error
      }
    }
    done()
    return did
  }

  /** As {@link #bring}; a device that went away or down meanwhile comes back first. */
  #settle(): void {
    try {
      this.#bring()
    } catch (error) {
      if (!isDeviceGone(error)) throw error
      this.prepare(this.#prepared().self)
    }
  }

  /** Why nothing reaches a peer, as far as the kernel tells. */
  #trouble(hostId: string, way: RouteInfo | undefined, there: boolean): string | undefined {
    const lost = wayTrouble(way, this.#device.index)
    if (lost !== undefined) return lost
    if (there && this.#table.complete(hostId) && this.#routes.complete(hostId)) return undefined
    return "the kernel lacks part of what was asked for; it is mended soon"
  }
}
