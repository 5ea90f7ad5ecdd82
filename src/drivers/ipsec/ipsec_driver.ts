/**
 * IPsec between hosts: ESP in tunnel mode by the kernel. Which keys there are is not decided here:
 * {@link IpsecDriver.setSaPairs} is told.
 */

import { familyOf, hostPrefix } from "../../core/address.ts"
import { CIPHERS, type Cipher } from "../../core/encapsulation.ts"
import { runAll } from "../../errors.ts"
import { NETLINK_ROUTE, NETLINK_XFRM } from "../../netlink/constants.ts"
import { getLink } from "../../netlink/route/link.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import type { XfrmEvent } from "../../netlink/xfrm/event.ts"
import { spiText } from "../../netlink/xfrm/state.ts"
import { currentNetns, type Netns } from "../../sys/netns/netns.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf, PeerLink } from "../driver.ts"
import { settle } from "../kernel_table.ts"
import type { KeyedDriver } from "../keyed_driver.ts"
import { type DeviceSpec, OverlayDevice } from "../overlay_device.ts"
import { OverlayRoutes } from "../overlay_routes.ts"
import { checkOwnAddresses, peerPrefixes } from "../peer_routes.ts"
import { addressOf, ownFamily } from "../underlay_address.ts"
import { probeCipher } from "./cipher_probe.ts"
import { type PeerEncapsulation, PeerEncapsulations } from "./peer_encapsulations.ts"
import { NO_KEYS, NOT_TOLD, namedStates, type PeerKeys, sentOn } from "./peer_keys.ts"
import { hostOfReqid, reqidOf } from "./policies.ts"
import { PolicyDatabase } from "./policy_database.ts"
import { SaPairs, type TunnelEndpoints, type UdpRemote } from "./sa_pairs.ts"
import { faultsOf, type PeerFaults, trafficOf } from "./sa_usage.ts"
import { chooseIfId, deviceName, tunnelDevice } from "./tunnel_device.ts"

/** Settings of {@link IpsecDriver}. */
export interface IpsecOptions {
  /** Default aes256gcm16. */
  readonly cipher?: Cipher | undefined
  /** Whether room is kept for a UDP header. Default false. */
  readonly udp?: boolean | undefined
  /**
   * Packets sent under one key after which {@link onSoftExpired} hears of it. Default 2^32, far below what
   * ESN and the ciphers bear.
   */
  readonly softPackets?: bigint | undefined
  /** Whether XFRM interfaces are used where the kernel has them. Default true. */
  readonly interfaces?: boolean | undefined
  /**
   * Hears of a peer whose associations are lost: somebody deleted one, or its address changed. Keys
   * are used once, so it needs new ones. Default: nobody.
   */
  readonly onLost?: ((hostId: string, why: string) => void) | undefined
  /**
   * Hears of a peer whose keys go on but are to be renewed soon: they carried much, or are to go in
   * UDP from now on, or not any more. Default: nobody.
   */
  readonly onSoftExpired?: ((hostId: string, why: string) => void) | undefined
}

interface Known {
  peer: OverlayPeer
  /** Where its associations run; undefined without an address of the family. */
  route: TunnelEndpoints | undefined
}

const DEFAULT_SOFT_PACKETS = 1n << 32n

export class IpsecDriver implements Driver, KeyedDriver {
  readonly kind = "ipsec"
  readonly keyed: KeyedDriver = this
  /** `lrx` and the network's number. */
  readonly device: string
  readonly parameters = {}
  readonly #network: OverlayNetwork
  readonly #options: IpsecOptions
  readonly cipher: Cipher
  readonly #route: NetlinkSocket
  readonly #xfrm: NetlinkSocket
  readonly #netns: Netns
  readonly #routes: OverlayRoutes
  readonly #device: OverlayDevice
  readonly #saPairs: SaPairs
  /** Of the XFRM interface; undefined where the kernel has none. */
  readonly #ifId: number | undefined
  /** By host: told before or after the host itself. */
  readonly #keys = new Map<string, PeerKeys>()
  readonly #encapsulations = new PeerEncapsulations()
  readonly #policies: PolicyDatabase
  readonly #peers = new Map<string, Known>()
  #self: OverlaySelf | undefined
  /** Whether ESP goes in UDP where it must, as told. */
  #udp: boolean
  #udpRoom: boolean
  /** Whether this kernel was tried, and what an earlier process left was read. */
  #begun = false

  private constructor(
    network: OverlayNetwork,
    options: IpsecOptions,
    sockets: { readonly route: NetlinkSocket; readonly xfrm: NetlinkSocket },
  ) {
    this.#network = network
    this.#options = options
    this.cipher = options.cipher ?? CIPHERS[0] ?? "aes256gcm16"
    this.#udp = options.udp ?? false
    this.#udpRoom = this.#udp
    this.#route = sockets.route
    this.#xfrm = sockets.xfrm
    this.#netns = currentNetns()
    this.device = deviceName(network)
    this.#ifId = options.interfaces === false ? undefined : chooseIfId(this.#route, network)
    this.#routes = new OverlayRoutes(this.#route, network.subnets)
    this.#device = new OverlayDevice(this.#route, this.#netns, (dst) => this.#routes.contains(dst))
    this.#saPairs = new SaPairs(this.#xfrm, {
      network: network.number,
      cipher: this.cipher,
      ifId: this.#ifId,
      softPackets: options.softPackets ?? DEFAULT_SOFT_PACKETS,
    })
    this.#policies = new PolicyDatabase(this.#xfrm, {
      network: network.number,
      subnets: network.subnets,
      ifId: this.#ifId,
      contains: (prefix) => this.#routes.contains(prefix),
    })
  }

  /**
   * A driver for the current network namespace. The kernel is not changed yet.
   *
   * @throws SystemError; LariatError config-invalid, kernel-unsupported
   */
  static open(network: OverlayNetwork, options: IpsecOptions = {}): IpsecDriver {
    const opened: NetlinkSocket[] = []
    try {
      const route = NetlinkSocket.open(NETLINK_ROUTE)
      opened.push(route)
      const xfrm = NetlinkSocket.open(NETLINK_XFRM)
      opened.push(xfrm)
      return new IpsecDriver(network, options, { route, xfrm })
    } catch (error) {
      for (const socket of opened) socket.close()
      throw error
    }
  }

  /**
   * As the interface says; again when something of this host changed.
   *
   * @throws LariatError kernel-unsupported where ESP, the cipher or the device is missing;
   *   config-invalid; mtu-too-small; ifname-exists; NetlinkError
   */
  prepare(self: OverlaySelf): void {
    checkOwnAddresses(self, this.#network, this.#routes)
    this.#self = self
    // What blocks clear text comes first of all.
    this.#policies.load()
    this.#policies.wantBase([...new Set([...self.blocks, ...self.overlay.map(hostPrefix)])])
    this.#policies.settle()
    if (!this.#begun) this.#probe(self, this.#udpRoom)
    this.#ensureDevice()
    this.#routes.load()
    this.#device.load()
    if (!this.#begun) this.#loadSaPairs(self)
    this.#begun = true
    this.#placeAll()
  }

  putPeer(peer: OverlayPeer): void {
    const known = this.#peers.get(peer.hostId)
    const entry = known ?? { peer, route: undefined }
    entry.peer = peer
    this.#peers.set(peer.hostId, entry)
    const before = this.#place(entry)
    this.#settle()
    this.#follow(entry, before, "its address changed")
  }

  removePeer(hostId: string): void {
    const known = this.#peers.get(hostId)
    if (known === undefined) return
    this.#peers.delete(hostId)
    this.#keys.delete(hostId)
    this.#encapsulations.forget(hostId, this.#reqid(known.peer))
    this.#routes.desired(hostId, [])
    this.#policies.desired(hostId, undefined)
    this.#settle()
    this.#saPairs.keepOnly(this.#reqid(known.peer), [])
    this.#saPairs.forget(this.#reqid(known.peer))
  }

  setSaPairs(hostId: string, keys: PeerKeys): boolean {
    this.#keys.set(hostId, keys)
    const known = this.#peers.get(hostId)
    return known !== undefined && this.#install(known)
  }

  setEncapsulation(hostId: string, encapsulation: PeerEncapsulation | undefined): void {
    this.#encapsulations.tell(hostId, encapsulation)
    const known = this.#peers.get(hostId)
    if (known === undefined) return
    const before = this.#place(known)
    if (this.#movePorts(known, before)) return
    this.#settle()
    this.#follow(known, before, "its UDP encapsulation changed")
  }

  encapsulationOf(hostId: string): PeerEncapsulation | undefined {
    const known = this.#peers.get(hostId)
    return this.#encapsulations.of(hostId, known === undefined ? 0 : this.#reqid(known.peer))
  }

  encapsulationPorts(): Set<number> {
    return this.#saPairs.ourPorts(this.#self?.underlay ?? [])
  }

  udpRemotes(): Map<number, UdpRemote> {
    const remotes = this.#saPairs.udpRemotes(this.#self?.underlay ?? [])
    const { number } = this.#network
    return new Map([...remotes].map(([reqid, one]) => [hostOfReqid(number, reqid) ?? 0, one]))
  }

  get hasUdpRoom(): boolean {
    return this.#udpRoom
  }

  setUdp(udp: boolean): void {
    this.#udp = udp
    if (!this.#makeUdpRoom() || this.#self === undefined || !this.#begun) return
    this.#ensureDevice()
    this.#settle()
  }

  hostOf(reqid: number): string | undefined {
    const known = [...this.#peers.values()].find(({ peer }) => this.#reqid(peer) === reqid)
    return known?.peer.hostId
  }

  handle(event: XfrmEvent): void {
    if (event.kind === "flushed") {
      for (const reqid of this.#saPairs.check()) this.#lostBy(reqid, "all were deleted")
    } else if (event.kind === "expired" && !event.hard) {
      if (!this.#saPairs.has(event.id)) return
      const hostId = this.hostOf(event.reqid)
      const why = `${spiText(event.id.spi)} has carried much`
      if (hostId !== undefined) this.#options.onSoftExpired?.(hostId, why)
    } else if (event.kind === "deleted" || event.kind === "expired") {
      const reqid = this.#saPairs.lost(event.id)
      if (reqid !== undefined) this.#lostBy(reqid, "somebody deleted it")
    }
  }

  repair(): readonly string[] {
    // Nothing that had to be mended.
    if (this.#makeUdpRoom()) this.#ensureDevice()
    const did = this.#ensureDevice()
    this.#policies.load()
    this.#policies.sweep()
    this.#routes.load()
    this.#routes.sweep()
    this.#device.load()
    this.#device.sweep()
    // A device that was made anew has another index.
    did.push(...this.#placeAll())
    for (const reqid of this.#saPairs.check()) this.#lostBy(reqid, "somebody deleted it")
    const known = new Set([...this.#peers.values()].map(({ peer }) => this.#reqid(peer)))
    for (const reqid of this.#saPairs.reqids()) {
      if (known.has(reqid)) continue
      this.#saPairs.keepOnly(reqid, [])
      did.push(`removed the associations of host number ${reqid & 0xffff}`)
    }
    return did
  }

  links(): readonly PeerLink[] {
    const states = this.#saPairs.usage()
    const device = getLink(this.#route, this.device)
    return [...this.#peers.values()].map((known) => {
      const { peer, route } = known
      const own = states.get(this.#reqid(peer)) ?? []
      const reason =
        device?.up === true ? this.#trouble(known) : `device ${this.device} is not there or down`
      return {
        hostId: peer.hostId,
        remote: route?.remote,
        ready: reason === undefined,
        reason,
        ...trafficOf(own, route?.remote),
      }
    })
  }

  facts(hostId: string): PeerFaults & { readonly route: boolean; readonly policy: boolean } {
    const known = this.#peers.get(hostId)
    const states = this.#saPairs.usage()
    const own = known === undefined ? [] : (states.get(this.#reqid(known.peer)) ?? [])
    return {
      route: this.#routes.complete(hostId),
      policy: this.#policies.complete(hostId),
      ...faultsOf(own, known?.route),
    }
  }

  close(): void {
    this.#route.close()
    this.#xfrm.close()
    this.#netns.close()
  }

  remove(): void {
    this.#peers.clear()
    this.#keys.clear()
    this.#encapsulations.clear()
    this.#begun = false
    runAll(`removing network ${this.#network.name}`, [
      () => this.#routes.clear(),
      () => this.#device.remove(this.#spec()),
      () => this.#policies.clear(),
      () => {
        this.#saPairs.load()
        for (const reqid of this.#saPairs.reqids()) this.#saPairs.keepOnly(reqid, [])
      },
    ])
  }

  #trouble(known: Known): string | undefined {
    const { peer, route } = known
    if (route === undefined) return `host ${peer.name} has no address of this host's family`
    if (!this.#policies.complete(peer.hostId)) return "a policy is missing"
    const spi = this.#sentOn(known)
    if (spi === undefined) return "no keys are agreed on yet"
    return this.#saPairs.has({ destination: route.remote, spi })
      ? undefined
      : "the association is gone; new keys are on their way"
  }

  /** The SPI that is sent on now; undefined: nothing may be sent. */
  #sentOn({ peer, route }: Known): number | undefined {
    const found = route === undefined ? undefined : this.#policies.foundSpi(route.reqid)
    return sentOn(this.#keys.get(peer.hostId) ?? NOT_TOLD, found)
  }

  #install(known: Known): boolean {
    const { peer, route } = known
    const keys = this.#keys.get(peer.hostId)
    if (route === undefined || keys === undefined) return false
    const lost = this.#saPairs.install(route, keys.saPairs)
    this.#wantPolicies(known)
    this.#policies.settle()
    if (keys.others === "drop") {
      this.#saPairs.keepOnly(route.reqid, namedStates(route, keys))
    }
    if (lost.length > 0) this.#options.onLost?.(peer.hostId, `${lost.join(", ")} had been deleted`)
    // An older pair that somebody deleted is about to go: it must not hold its successor up.
    const [newest] = keys.saPairs
    if (newest === undefined) return true
    return this.#saPairs.has({ destination: route.local, spi: newest.inbound.spi })
  }

  #placeAll(): string[] {
    const before = new Map([...this.#peers.values()].map((known) => [known, this.#place(known)]))
    const did = this.#settle()
    for (const [known, route] of before) this.#follow(known, route, "this host's address changed")
    return did
  }

  /** Says what a peer needs of policies and routes. @returns where its associations ran before */
  #place(known: Known): TunnelEndpoints | undefined {
    const { peer, route: before } = known
    known.route = this.#routeOf(known)
    this.#wantPolicies(known)
    const { prefixes } = peerPrefixes(peer, (prefix) => this.#routes.contains(prefix))
    const { index } = this.#device
    const sources = this.#self?.overlay ?? []
    this.#routes.desired(
      peer.hostId,
      known.route === undefined
        ? []
        : prefixes.map((dst) => ({
            dst,
            index,
            source: addressOf(sources, familyOf(dst)),
          })),
    )
    return before
  }

  #wantPolicies(known: Known): void {
    const { peer, route } = known
    const { prefixes } = peerPrefixes(peer, (prefix) => this.#routes.contains(prefix))
    const tunnel = route && { ...route, spi: this.#sentOn(known), prefixes }
    this.#policies.desired(peer.hostId, tunnel)
  }

  #routeOf({ peer }: Known): TunnelEndpoints | undefined {
    const self = this.#self
    const encapsulation = this.#encapsulations.of(peer.hostId, this.#reqid(peer))
    const family = self === undefined ? undefined : ownFamily(self.underlay)
    if (self === undefined || family === undefined) return undefined
    const local = addressOf(self.underlay, family)
    const remote = encapsulation?.peerAddress ?? addressOf(peer.underlay, family)
    if (local === undefined || remote === undefined) return undefined
    const ports = encapsulation && {
      ourPort: encapsulation.ourPort,
      peerPort: encapsulation.peerPort,
    }
    return { reqid: this.#reqid(peer), local, remote, encapsulation: ports }
  }

  /** Where a NAT gave a peer another port, and nothing else changed. @returns whether it was so */
  #movePorts({ route }: Known, before: TunnelEndpoints | undefined): boolean {
    if (route?.encapsulation === undefined || before?.encapsulation === undefined) return false
    if (route.local !== before.local || route.remote !== before.remote) return false
    return this.#saPairs.movePorts(route)
  }

  #loadSaPairs({ underlay }: OverlaySelf): void {
    this.#saPairs.load()
    const sentOn = (reqid: number) => this.#policies.foundSpi(reqid)
    this.#encapsulations.find(this.#saPairs.usage(), underlay, sentOn)
  }

  /**
   * After a peer was placed. SaPairs are bound to addresses: where those changed, the old ones
   * are of no use any more, nor are their keys. With UDP or without they go on until the new ones,
   * made the other way, are agreed on: the peer may not have changed yet. Where there were none,
   * keys that were told already are used now.
   */
  #follow(known: Known, before: TunnelEndpoints | undefined, why: string): void {
    const { peer, route } = known
    if (before === undefined) {
      this.#install(known)
      return
    }
    if (JSON.stringify(before) === JSON.stringify(route)) return
    const had = this.#saPairs.inUse(before.reqid)
    if (before.local === route?.local && before.remote === route.remote) {
      // Those of an earlier process are to be renewed anyway.
      if (had) this.#options.onSoftExpired?.(peer.hostId, why)
      return
    }
    this.#policies.forgetSpi(before.reqid)
    this.#keys.set(peer.hostId, NO_KEYS)
    this.#wantPolicies(known)
    this.#policies.settle()
    this.#saPairs.abandon(before.reqid)
    if (had) this.#options.onLost?.(peer.hostId, why)
  }

  #lostBy(reqid: number, why: string): void {
    const hostId = this.hostOf(reqid)
    if (hostId !== undefined) this.#options.onLost?.(hostId, why)
  }

  #reqid({ number }: OverlayPeer): number {
    return reqidOf(this.#network.number, number)
  }

  /** @throws LariatError kernel-unsupported */
  #probe({ underlay }: OverlaySelf, udp: boolean): void {
    const family = ownFamily(underlay)
    probeCipher(this.cipher, { families: family === undefined ? [] : [family], udp })
  }

  #settle(): string[] {
    // A policy before the route that leads to it, and after it when both go.
    return [
      ...this.#policies.settle(),
      ...settle(this.#route, [this.#device.addresses, this.#routes.table]),
    ]
  }

  /** @returns whether the device is to be of another size now */
  #makeUdpRoom(): boolean {
    // Given up too early, whoever sends at full size learns of the smaller one for ten minutes.
    const room = this.#udp || this.encapsulationPorts().size > 0
    if (room === this.#udpRoom) return false
    if (room && this.#begun && this.#self !== undefined) this.#probe(this.#self, room)
    this.#udpRoom = room
    return true
  }

  #ensureDevice(): string[] {
    const did = this.#device.ensure(this.#spec())
    this.#device.wantAddresses(this.#self?.overlay ?? [])
    return did
  }

  #spec(): DeviceSpec {
    const options = { cipher: this.cipher, udp: this.#udpRoom, ifId: this.#ifId }
    return tunnelDevice(this.#network, this.#self, options)
  }
}
