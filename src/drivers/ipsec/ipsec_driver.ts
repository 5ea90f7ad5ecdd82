/**
 * IPsec between hosts: ESP in tunnel mode by the kernel. Which keys there are is not decided here:
 * {@link IpsecDriver.setAssociations} is told.
 */

import { CIPHERS, type Cipher } from "../../core/encapsulation.ts"
import { overheadOf } from "../../core/overhead.ts"
import { LariatError, runAll } from "../../errors.ts"
import { NETLINK_ROUTE, NETLINK_XFRM } from "../../netlink/constants.ts"
import { getLink } from "../../netlink/link.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import type { XfrmEvent } from "../../netlink/xfrm_event.ts"
import { newXfrmLink } from "../../netlink/xfrm_link.ts"
import {
  deletePolicy,
  listPolicies,
  type Policy,
  replacePolicy,
} from "../../netlink/xfrm_policy.ts"
import type { StateId } from "../../netlink/xfrm_state.ts"
import { currentNetns, type Netns } from "../../sys/netns.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf, PeerLink } from "../driver.ts"
import { KernelTable, settle } from "../kernel_table.ts"
import { type DeviceSpec, OverlayDevice } from "../overlay_device.ts"
import { OverlayRoutes } from "../overlay_routes.ts"
import { peerPrefixes } from "../peer_routes.ts"
import { addressOf, ownFamily } from "../underlay_address.ts"
import { type Association, Associations, type Route } from "./associations.ts"
import {
  basePolicies,
  ifIdOf,
  isOfNetwork,
  peerPolicies,
  policyKey,
  reqidOf,
  samePolicy,
} from "./policies.ts"

export type { Association } from "./associations.ts"

/** Settings of {@link IpsecDriver}. */
export interface IpsecOptions {
  /** Default aes256gcm16. */
  readonly cipher?: Cipher | undefined
  /** Whether room is kept for a UDP header. Default false. */
  readonly udp?: boolean | undefined
  /**
   * Hears of a peer whose associations are lost: somebody deleted one, or its address changed. Keys
   * are used once, so it needs new ones. Default: nobody.
   */
  readonly onLost?: ((hostId: string, why: string) => void) | undefined
}

/** What is known of the keys with one peer on one network. */
export interface PeerKeys {
  /** Newest first. */
  readonly associations: readonly Association[]
  /**
   * What becomes of associations in the kernel that are not named, an earlier process's: `use`: they
   * stay, and are sent on until one that is named says `send`; `receive`: they stay and are not sent
   * on; `drop`: they go.
   */
  readonly others: "use" | "receive" | "drop"
}

/** ESP in UDP with one peer. */
export interface PeerEncapsulation {
  readonly ourPort: number
  readonly peerPort: number
  /** Where it is seen, instead of the address that it says. */
  readonly peerAddress?: string | undefined
}

interface Known {
  peer: OverlayPeer
  keys: PeerKeys
  encapsulation: PeerEncapsulation | undefined
  /** Where its associations run; undefined without an address of the family. */
  route: Route | undefined
}

const NO_KEYS: PeerKeys = { associations: [], others: "use" }
/** The owner of the policies that stand before any peer does. */
const BASE = " base"

export class IpsecDriver implements Driver {
  readonly kind = "ipsec"
  /** `lrx` and the network's number. */
  readonly device: string
  readonly parameters = {}
  readonly #network: OverlayNetwork
  readonly #options: IpsecOptions
  readonly #cipher: Cipher
  readonly #route: NetlinkSocket
  readonly #xfrm: NetlinkSocket
  readonly #netns: Netns
  readonly #routes: OverlayRoutes
  readonly #device: OverlayDevice
  readonly #associations: Associations
  readonly #policies = new KernelTable<Policy>({
    what: "policy",
    key: policyKey,
    describe: ({ direction, source, destination }) => `${direction} ${source} to ${destination}`,
    same: samePolicy,
    add: replacePolicy,
    remove: deletePolicy,
  })
  /** The SPI that each reqid's policies sent on when they were found, where nobody named one yet. */
  readonly #foundSpis = new Map<number, number>()
  readonly #peers = new Map<string, Known>()
  #self: OverlaySelf | undefined

  private constructor(
    network: OverlayNetwork,
    options: IpsecOptions,
    sockets: { readonly route: NetlinkSocket; readonly xfrm: NetlinkSocket },
  ) {
    this.#network = network
    this.#options = options
    this.#cipher = options.cipher ?? CIPHERS[0] ?? "aes256gcm16"
    this.#route = sockets.route
    this.#xfrm = sockets.xfrm
    this.#netns = currentNetns()
    this.device = `lrx${network.number}`
    this.#routes = new OverlayRoutes(this.#route, network.subnets)
    this.#device = new OverlayDevice(this.#route, this.#netns, (dst) => this.#routes.contains(dst))
    const ifId = ifIdOf(network.number)
    this.#associations = new Associations(this.#xfrm, {
      network: network.number,
      cipher: this.#cipher,
      ifId,
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

  prepare(self: OverlaySelf): void {
    const before = this.#self
    this.#self = self
    // What blocks clear text comes first of all.
    this.#loadPolicies()
    this.#policies.want(BASE, this.#base(self))
    settle(this.#xfrm, [this.#policies])
    this.#ensureDevice()
    this.#routes.load()
    this.#device.load()
    if (before === undefined) this.#associations.load()
    for (const known of this.#peers.values()) this.#place(known)
    this.#settle()
  }

  putPeer(peer: OverlayPeer): void {
    const known = this.#peers.get(peer.hostId)
    const entry = known ?? { peer, keys: NO_KEYS, encapsulation: undefined, route: undefined }
    const moved = entry.route
    entry.peer = peer
    this.#peers.set(peer.hostId, entry)
    this.#place(entry)
    this.#settle()
    if (moved !== undefined && moved.remote !== entry.route?.remote) {
      this.#moved(entry, "its address changed")
    }
  }

  removePeer(hostId: string): void {
    const known = this.#peers.get(hostId)
    if (known === undefined) return
    this.#peers.delete(hostId)
    this.#routes.want(hostId, [])
    this.#policies.want(hostId, [])
    this.#settle()
    this.#associations.keepOnly(this.#reqid(known.peer), [])
  }

  /**
   * Says which keys there are with a peer. First what is received on, then what is sent on, then the
   * policy is switched in one step, and only then what is not named any more goes: no packet is
   * lost.
   *
   * @throws NetlinkError
   */
  setAssociations(hostId: string, keys: PeerKeys): void {
    const known = this.#peers.get(hostId)
    if (known === undefined) return
    known.keys = keys
    if (known.route === undefined) return
    const lost = this.#associations.install(known.route, keys.associations)
    this.#wantPolicies(known)
    settle(this.#xfrm, [this.#policies])
    if (keys.others === "drop") {
      this.#associations.keepOnly(known.route.reqid, this.#named(known.route, keys))
    }
    if (lost.length > 0) this.#options.onLost?.(hostId, `${lost.join(", ")} had been deleted`)
  }

  /** Says by which ports a peer is reached in UDP; undefined: without. New keys are needed then. */
  setEncapsulation(hostId: string, encapsulation: PeerEncapsulation | undefined): void {
    const known = this.#peers.get(hostId)
    if (known === undefined) return
    if (JSON.stringify(known.encapsulation) === JSON.stringify(encapsulation)) return
    known.encapsulation = encapsulation
    this.#place(known)
    this.#settle()
    this.#moved(known, "its UDP encapsulation changed")
  }

  /** Takes in what the kernel tells; see `parseXfrmEvent`. */
  handle(event: XfrmEvent): void {
    if (event.kind === "flushed") {
      for (const reqid of this.#associations.check()) this.#lostBy(reqid, "all were deleted")
      return
    }
    if (event.kind === "deleted" || (event.kind === "expired" && event.hard)) {
      const reqid = this.#associations.lost(event.id)
      if (reqid !== undefined) this.#lostBy(reqid, "somebody deleted it")
    }
  }

  repair(): readonly string[] {
    const did = this.#ensureDevice()
    this.#loadPolicies()
    this.#policies.sweep()
    this.#routes.load()
    this.#routes.sweep()
    this.#device.load()
    this.#device.sweep()
    did.push(...this.#settle())
    for (const reqid of this.#associations.check()) this.#lostBy(reqid, "somebody deleted it")
    const known = new Set([...this.#peers.values()].map(({ peer }) => this.#reqid(peer)))
    for (const reqid of this.#associations.reqids()) {
      if (known.has(reqid)) continue
      this.#associations.keepOnly(reqid, [])
      did.push(`removed the associations of host number ${reqid & 0xffff}`)
    }
    return did
  }

  links(): readonly PeerLink[] {
    const states = this.#associations.usage()
    const device = getLink(this.#route, this.device)
    return [...this.#peers.values()].map((known) => {
      const { peer, route } = known
      const own = states.filter(({ reqid }) => reqid === this.#reqid(peer))
      const sum = (to: boolean, what: "bytes" | "packets") =>
        own
          .filter(({ destination }) => (destination === route?.remote) === to)
          .reduce((total, { usage }) => total + Number(usage[what]), 0)
      const reason =
        device?.up === true ? this.#trouble(known) : `device ${this.device} is not there or down`
      return {
        hostId: peer.hostId,
        remote: route?.remote,
        ready: reason === undefined,
        reason,
        txBytes: sum(true, "bytes"),
        rxBytes: sum(false, "bytes"),
        txPackets: sum(true, "packets"),
        rxPackets: sum(false, "packets"),
      }
    })
  }

  /** What the kernel lacks for a peer, and what went wrong with its associations. */
  facts(hostId: string): {
    readonly route: boolean
    readonly policy: boolean
    readonly association: boolean
    readonly replayed: number
    readonly unauthentic: number
  } {
    const known = this.#peers.get(hostId)
    const own =
      known === undefined
        ? []
        : this.#associations.usage().filter(({ reqid }) => reqid === this.#reqid(known.peer))
    const count = (what: "replayed" | "unauthentic") =>
      own.reduce((total, state) => total + state[what], 0)
    return {
      route: this.#routes.complete(hostId),
      policy: this.#policies.complete(hostId),
      association:
        own.some(({ destination }) => destination === known?.route?.remote) &&
        own.some(({ destination }) => destination === known?.route?.local),
      replayed: count("replayed"),
      unauthentic: count("unauthentic"),
    }
  }

  close(): void {
    this.#route.close()
    this.#xfrm.close()
    this.#netns.close()
  }

  remove(): void {
    this.#peers.clear()
    runAll(`removing network ${this.#network.name}`, [
      () => this.#routes.clear(),
      () => this.#device.remove(this.#spec()),
      () => {
        this.#loadPolicies()
        this.#policies.forget()
        this.#policies.sweep()
        settle(this.#xfrm, [this.#policies])
      },
      () => {
        this.#associations.load()
        for (const reqid of this.#associations.reqids()) this.#associations.keepOnly(reqid, [])
      },
    ])
  }

  #trouble({ peer, route, keys }: Known): string | undefined {
    if (route === undefined) return `host ${peer.name} has no address of this host's family`
    if (!this.#policies.complete(peer.hostId)) return "a policy is missing"
    const spi = this.#sentOn(route, keys)
    if (spi === undefined) return "no keys are agreed on yet"
    return this.#associations.has({ destination: route.remote, spi })
      ? undefined
      : "the association is gone; new keys are on their way"
  }

  /** Says what a peer needs of policies and routes. */
  #place(known: Known): void {
    const { peer } = known
    known.route = this.#routeOf(known)
    this.#wantPolicies(known)
    const { prefixes } = peerPrefixes(peer, (prefix) => this.#routes.contains(prefix))
    const { index } = this.#device
    const sources = this.#self?.overlay ?? []
    this.#routes.want(
      peer.hostId,
      known.route === undefined
        ? []
        : prefixes.map((dst) => ({
            dst,
            index,
            source: addressOf(sources, dst.includes(":") ? 6 : 4),
          })),
    )
  }

  #wantPolicies(known: Known): void {
    const { peer, route, keys } = known
    if (route === undefined) {
      this.#policies.want(peer.hostId, [])
      return
    }
    const spi = this.#sentOn(route, keys)
    const { prefixes } = peerPrefixes(peer, (prefix) => this.#routes.contains(prefix))
    const tunnel = { ...route, spi, prefixes }
    const policies = peerPolicies(tunnel, this.#network.subnets, ifIdOf(this.#network.number))
    this.#policies.want(peer.hostId, policies)
  }

  /** The SPI that is sent on now; undefined: nothing may be sent. */
  #sentOn({ reqid }: Route, { associations, others }: PeerKeys): number | undefined {
    const sent = associations.find(({ send }) => send)
    return sent?.outbound.spi ?? (others === "use" ? this.#foundSpis.get(reqid) : undefined)
  }

  #routeOf({ peer, encapsulation }: Known): Route | undefined {
    const self = this.#self
    const family = self === undefined ? undefined : ownFamily(self.underlay)
    if (self === undefined || family === undefined) return undefined
    const local = addressOf(self.underlay, family)
    const remote = encapsulation?.peerAddress ?? addressOf(peer.underlay, family)
    if (local === undefined || remote === undefined) return undefined
    return { reqid: this.#reqid(peer), local, remote, encapsulation }
  }

  /** Associations are bound to addresses and ports: the old ones are of no use any more. */
  #moved(known: Known, why: string): void {
    this.#associations.keepOnly(this.#reqid(known.peer), [])
    this.#foundSpis.delete(this.#reqid(known.peer))
    if (known.keys.associations.length > 0) this.#options.onLost?.(known.peer.hostId, why)
  }

  #lostBy(reqid: number, why: string): void {
    for (const { peer } of this.#peers.values()) {
      if (this.#reqid(peer) === reqid) this.#options.onLost?.(peer.hostId, why)
    }
  }

  #named({ local, remote }: Route, { associations }: PeerKeys): StateId[] {
    return associations.flatMap(({ inbound, outbound }) => [
      { destination: local, spi: inbound.spi },
      { destination: remote, spi: outbound.spi },
    ])
  }

  #reqid({ number }: OverlayPeer): number {
    return reqidOf(this.#network.number, number)
  }

  #base(self: OverlaySelf): Policy[] {
    return basePolicies(this.#network.subnets, self.blocks, ifIdOf(this.#network.number))
  }

  #loadPolicies(): void {
    const { number } = this.#network
    const found = listPolicies(this.#xfrm).filter((policy) =>
      isOfNetwork(policy, number, ifIdOf(number), (prefix) => this.#routes.contains(prefix)),
    )
    this.#foundSpis.clear()
    for (const { direction, action } of found) {
      if (direction !== "out" || typeof action === "string") continue
      this.#foundSpis.set(action.reqid, action.spi)
    }
    this.#policies.load(found)
  }

  #settle(): string[] {
    // A policy before the route that leads to it, and after it when both go.
    return [
      ...settle(this.#xfrm, [this.#policies]),
      ...settle(this.#route, [this.#device.addresses, this.#routes.table]),
    ]
  }

  #ensureDevice(): string[] {
    try {
      const did = this.#device.ensure(this.#spec())
      this.#device.wantAddresses(this.#self?.overlay ?? [])
      return did
    } catch (error) {
      if (!(error instanceof LariatError) || error.code !== "kernel-unsupported") throw error
      throw new LariatError(
        `Cannot carry network ${this.#network.name} by IPsec: this kernel has no XFRM interfaces`,
        {
          code: "kernel-unsupported",
          hint: "modprobe xfrm_interface (Linux 4.19 and later); driver: vxlan does without IPsec, unencrypted",
          cause: error,
        },
      )
    }
  }

  #spec(): DeviceSpec {
    const { number, name, underlayMtu, subnets } = this.#network
    const family = ownFamily(this.#self?.underlay ?? []) ?? 4
    const { udp = false } = this.#options
    const options = { outer: underlayMtu, cipher: this.#cipher, family, udp }
    return {
      name: this.device,
      kind: "xfrm",
      title: "XFRM interfaces",
      network: name,
      mtu: overheadOf("ipsec", options).mtu,
      mac: undefined,
      ipv6: subnets.some((subnet) => subnet.includes(":")),
      make: (link) => newXfrmLink(link, ifIdOf(number)),
      unfit: () => undefined,
    }
  }
}
