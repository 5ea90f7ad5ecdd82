/**
 * IPsec between hosts: ESP in tunnel mode by the kernel. Which keys there are is not decided here:
 * {@link KeyedDriver.setSaPairs} is told.
 */

import { familyOf, hostPrefix } from "../../core/address.ts"
import { CIPHERS, type Cipher } from "../../core/encapsulation.ts"
import { NETLINK_XFRM } from "../../netlink/constants.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import type { XfrmEvent } from "../../netlink/xfrm/event.ts"
import { spiText } from "../../netlink/xfrm/state.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf } from "../driver.ts"
import { attemptAll } from "../failures.ts"
import { type KernelPart, settle } from "../kernel_table.ts"
import type { KeyedDriver } from "../keyed_driver.ts"
import { OverlayDriver } from "../overlay_driver.ts"
import type { OverlayBase, OverlayKind, Sight } from "../overlay_kind.ts"
import type { PeerPlan, Planned } from "../peer_plans.ts"
import { peerPrefixes } from "../peer_routes.ts"
import { addressOf, ownFamily } from "../underlay_address.ts"
import { probeCipher } from "./cipher_probe.ts"
import { type PeerEncapsulation, PeerEncapsulations } from "./peer_encapsulations.ts"
import { NO_KEYS, NOT_TOLD, namedStates, type PeerKeys, sentOn } from "./peer_keys.ts"
import { hostOfReqid, reqidOf } from "./policies.ts"
import { PolicyDatabase } from "./policy_database.ts"
import { SaPairs, type TunnelEndpoints, type UdpRemote } from "./sa_pairs.ts"
import { faultsOf, type PeerFaults, trafficOf } from "./sa_usage.ts"
import { chooseIfId, deviceName, tunnelDevice } from "./tunnel_device.ts"

/** Settings of {@link openIpsec}. */
export interface IpsecOptions {
  /** Default aes256gcm16. */
  readonly cipher?: Cipher | undefined
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

const DEFAULT_SOFT_PACKETS = 1n << 32n

/**
 * A driver for the current network namespace.
 *
 * @throws SystemError; LariatError config-invalid, kernel-unsupported
 */
export function openIpsec(network: OverlayNetwork, options: IpsecOptions = {}): Driver {
  return OverlayDriver.open<IpsecPlan>(network, (base) => new Ipsec(base, options))
}

interface IpsecPlan extends PeerPlan {
  readonly reqid: number
  /** Where its associations run; undefined without an address of the family. */
  readonly tunnel: TunnelEndpoints | undefined
  readonly prefixes: readonly string[]
}

class Ipsec implements OverlayKind<IpsecPlan>, KeyedDriver {
  readonly kind = "ipsec"
  readonly keyed: KeyedDriver = this
  readonly deviceName: string
  readonly linkKind: string
  readonly routesToDevice = true
  readonly parameters = {}
  readonly parts: readonly KernelPart[]
  readonly cipher: Cipher
  readonly #base: OverlayBase<IpsecPlan>
  readonly #options: IpsecOptions
  /** Of the XFRM interface; undefined where the kernel has none. */
  readonly #ifId: number | undefined
  readonly #xfrm: NetlinkSocket
  readonly #saPairs: SaPairs
  readonly #policies: PolicyDatabase
  /** By host: told before or after the host itself. */
  readonly #keys = new Map<string, PeerKeys>()
  readonly #encapsulations = new PeerEncapsulations()
  /** Peers that were planned anew, with where their associations ran before: still to be followed. */
  readonly #placed = new Map<string, TunnelEndpoints | undefined>()
  /** Reqids of peers that are gone, and whose associations are still to go. */
  readonly #gone = new Set<number>()
  #self: OverlaySelf | undefined
  /** Undefined before the device was asked for. */
  #udpRoom: boolean | undefined
  #isGuarded = false
  /** Whether what an earlier process left was read. */
  #isFound = false

  constructor(base: OverlayBase<IpsecPlan>, options: IpsecOptions) {
    const { network, socket, routes } = base
    this.#base = base
    this.#options = options
    this.cipher = options.cipher ?? CIPHERS[0] ?? "aes256gcm16"
    this.deviceName = deviceName(network)
    const ifId = options.interfaces === false ? undefined : chooseIfId(socket, network)
    this.#ifId = ifId
    this.linkKind = ifId === undefined ? "dummy" : "xfrm"
    this.#xfrm = NetlinkSocket.open(NETLINK_XFRM)
    this.#saPairs = new SaPairs(this.#xfrm, {
      ...{ network: network.number, cipher: this.cipher, ifId },
      softPackets: options.softPackets ?? DEFAULT_SOFT_PACKETS,
    })
    this.#policies = new PolicyDatabase(this.#xfrm, {
      ...{ network: network.number, subnets: network.subnets, ifId },
      contains: (prefix) => routes.contains(prefix),
    })
    this.parts = [this.#policies.table]
  }

  /** What blocks clear text comes first of all. */
  guard(self: OverlaySelf): void {
    this.#self = self
    this.#policies.wantBase([...new Set([...self.blocks, ...self.overlay.map(hostPrefix)])])
    if (this.#isGuarded) return
    this.#policies.table.load()
    settle([this.#policies.table])
    this.#isGuarded = true
  }

  device(self: OverlaySelf, udp: boolean) {
    // Given up too early, whoever sends at full size learns of the smaller one for ten minutes.
    const room = udp || this.encapsulationPorts().size > 0
    if (this.#udpRoom === undefined || (room && !this.#udpRoom)) {
      const family = ownFamily(self.underlay)
      probeCipher(this.cipher, { families: family === undefined ? [] : [family], udp: room })
    }
    this.#udpRoom = room
    const options = { cipher: this.cipher, udp: room, ifId: this.#ifId }
    return tunnelDevice(this.#base.network, self, options)
  }

  loaded({ underlay }: OverlaySelf): void {
    if (this.#isFound) {
      for (const reqid of this.#saPairs.check()) this.#lostBy(reqid, "somebody deleted it")
      return
    }
    this.#saPairs.load()
    const spiOf = (reqid: number) => this.#policies.foundSpi(reqid)
    this.#encapsulations.find(this.#saPairs.usage(), underlay, spiOf)
    this.#isFound = true
  }

  plan(peer: OverlayPeer): IpsecPlan {
    const { routes, link } = this.#base
    const tunnel = this.#tunnelTo(peer)
    const { prefixes } = peerPrefixes(peer, (prefix) => routes.contains(prefix))
    const sources = this.#self?.overlay ?? []
    const routed = tunnel === undefined ? [] : prefixes
    return {
      ...{ reqid: this.#reqid(peer), tunnel, prefixes, remote: tunnel?.remote },
      reason:
        tunnel === undefined ? `host ${peer.name} has no address of this host's family` : undefined,
      routes: routed.map((dst) => ({
        ...{ dst, index: link.index },
        source: addressOf(sources, familyOf(dst)),
      })),
    }
  }

  desired(hostId: string, plan: IpsecPlan | undefined, before: IpsecPlan | undefined): void {
    if (plan === undefined) {
      this.#keys.delete(hostId)
      this.#encapsulations.forget(hostId, before?.reqid)
      this.#placed.delete(hostId)
      if (before !== undefined) this.#gone.add(before.reqid)
    } else if (!this.#placed.has(hostId)) this.#placed.set(hostId, before?.tunnel)
    this.#wantPolicies(hostId, plan)
  }

  settled(sweep: boolean): readonly string[] {
    if (sweep) {
      const known = new Set(this.#base.all().map(({ plan }) => plan.reqid))
      for (const reqid of this.#saPairs.reqids()) if (!known.has(reqid)) this.#gone.add(reqid)
    }
    return attemptAll([
      ...[...this.#gone].map((reqid) => () => {
        this.#saPairs.keepOnly(reqid, [])
        this.#saPairs.forget(reqid)
        this.#gone.delete(reqid)
        return [`removed the associations of host number ${reqid & 0xffff}`]
      }),
      ...[...this.#placed].map(([hostId, before]) => (): undefined => {
        const one = this.#base.get(hostId)
        if (one !== undefined) this.#follow(one, before)
        this.#placed.delete(hostId)
      }),
    ])
  }

  look(): (one: Planned<IpsecPlan>) => Sight {
    const states = this.#saPairs.usage()
    return (one) => ({
      trouble: this.#trouble(one),
      ...trafficOf(states.get(one.plan.reqid) ?? [], one.plan.remote),
    })
  }

  removals(): readonly (() => void)[] {
    this.#keys.clear()
    this.#encapsulations.clear()
    this.#gone.clear()
    this.#isFound = false
    this.#isGuarded = false
    return [
      () => this.#policies.table.clear(),
      () => {
        this.#saPairs.load()
        for (const reqid of this.#saPairs.reqids()) this.#saPairs.keepOnly(reqid, [])
      },
    ]
  }

  close(): void {
    this.#xfrm.close()
  }

  setSaPairs(hostId: string, keys: PeerKeys): boolean {
    this.#keys.set(hostId, keys)
    const known = this.#base.get(hostId)
    return known !== undefined && this.#install(known)
  }

  setEncapsulation(hostId: string, encapsulation: PeerEncapsulation | undefined): void {
    this.#encapsulations.tell(hostId, encapsulation)
    this.#base.replan(hostId)
  }

  encapsulationOf(hostId: string): PeerEncapsulation | undefined {
    return this.#encapsulations.of(hostId, this.#base.get(hostId)?.plan.reqid)
  }

  encapsulationPorts(): Set<number> {
    return this.#saPairs.ourPorts(this.#self?.underlay ?? [])
  }

  udpRemotes(): Map<number, UdpRemote> {
    const remotes = this.#saPairs.udpRemotes(this.#self?.underlay ?? [])
    const { number } = this.#base.network
    return new Map([...remotes].map(([reqid, one]) => [hostOfReqid(number, reqid) ?? 0, one]))
  }

  get hasUdpRoom(): boolean {
    return this.#udpRoom ?? true
  }

  hostOf(reqid: number): string | undefined {
    return this.#base.all().find(({ plan }) => plan.reqid === reqid)?.peer.hostId
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

  facts(hostId: string): PeerFaults & { readonly route: boolean; readonly policy: boolean } {
    const known = this.#base.get(hostId)
    const states = this.#saPairs.usage()
    const own = known === undefined ? [] : (states.get(known.plan.reqid) ?? [])
    return {
      route: this.#base.routes.table.complete(hostId),
      policy: this.#policies.table.complete(hostId),
      ...faultsOf(own, known?.plan.tunnel),
    }
  }

  #trouble({ peer, plan: { tunnel } }: Planned<IpsecPlan>): string | undefined {
    const spi = this.#sentOn(peer.hostId, tunnel)
    if (tunnel === undefined || spi === undefined) return "no keys are agreed on yet"
    return this.#saPairs.has({ destination: tunnel.remote, spi })
      ? undefined
      : "the association is gone; new keys are on their way"
  }

  /** The SPI that is sent on now; undefined: nothing may be sent. */
  #sentOn(hostId: string, tunnel: TunnelEndpoints | undefined): number | undefined {
    const found = tunnel === undefined ? undefined : this.#policies.foundSpi(tunnel.reqid)
    return sentOn(this.#keys.get(hostId) ?? NOT_TOLD, found)
  }

  #install({ peer, plan }: Planned<IpsecPlan>): boolean {
    const { hostId } = peer
    const { tunnel } = plan
    const keys = this.#keys.get(hostId)
    if (tunnel === undefined || keys === undefined) return false
    const lost = this.#saPairs.install(tunnel, keys.saPairs)
    this.#wantPolicies(hostId, plan)
    settle([this.#policies.table])
    if (keys.others === "drop") this.#saPairs.keepOnly(tunnel.reqid, namedStates(tunnel, keys))
    if (lost.length > 0) this.#options.onLost?.(hostId, `${lost.join(", ")} had been deleted`)
    // An older pair that somebody deleted is about to go: it must not hold its successor up.
    const [newest] = keys.saPairs
    if (newest === undefined) return true
    return this.#saPairs.has({ destination: tunnel.local, spi: newest.inbound.spi })
  }

  #wantPolicies(hostId: string, plan: IpsecPlan | undefined): void {
    const { tunnel, prefixes = [] } = plan ?? {}
    const spi = this.#sentOn(hostId, tunnel)
    this.#policies.desired(hostId, tunnel && { ...tunnel, spi, prefixes })
  }

  #tunnelTo(peer: OverlayPeer): TunnelEndpoints | undefined {
    const { underlay = [] } = this.#self ?? {}
    const family = ownFamily(underlay)
    if (family === undefined) return undefined
    const reqid = this.#reqid(peer)
    const encapsulation = this.#encapsulations.of(peer.hostId, reqid)
    const local = addressOf(underlay, family)
    const remote = encapsulation?.peerAddress ?? addressOf(peer.underlay, family)
    if (local === undefined || remote === undefined) return undefined
    const ports = encapsulation && {
      ourPort: encapsulation.ourPort,
      peerPort: encapsulation.peerPort,
    }
    return { reqid, local, remote, encapsulation: ports }
  }

  /**
   * After a peer was planned. SaPairs are bound to addresses: where those changed, the old ones
   * are of no use any more, nor are their keys. With UDP or without they go on until the new ones,
   * made the other way, are agreed on: the peer may not have changed yet. Where there were none,
   * keys that were told already are used now.
   */
  #follow(known: Planned<IpsecPlan>, before: TunnelEndpoints | undefined): void {
    const { hostId } = known.peer
    const { tunnel } = known.plan
    if (before === undefined) {
      this.#install(known)
      return
    }
    const stays = before.local === tunnel?.local && before.remote === tunnel.remote
    // A NAT may have given the peer another port; what did not take it before may do so now.
    const isInUdp = before.encapsulation !== undefined && tunnel?.encapsulation !== undefined
    if (stays && isInUdp && this.#saPairs.movePorts(tunnel)) return
    if (JSON.stringify(before) === JSON.stringify(tunnel)) return
    const had = this.#saPairs.inUse(before.reqid)
    if (stays) {
      // Those of an earlier process are to be renewed anyway.
      if (had) this.#options.onSoftExpired?.(hostId, "its UDP encapsulation changed")
      return
    }
    this.#policies.forgetSpi(before.reqid)
    this.#keys.set(hostId, NO_KEYS)
    this.#wantPolicies(hostId, known.plan)
    settle([this.#policies.table])
    const isOwn = tunnel !== undefined && before.local !== tunnel.local
    const whose = isOwn ? "this host's" : "its"
    if (had) this.#options.onLost?.(hostId, `${whose} address changed`)
    this.#saPairs.abandon(before.reqid)
  }

  #lostBy(reqid: number, why: string): void {
    const hostId = this.hostOf(reqid)
    if (hostId !== undefined) this.#options.onLost?.(hostId, why)
  }

  #reqid({ number }: Pick<OverlayPeer, "number">): number {
    return reqidOf(this.#base.network.number, number)
  }
}
