/**
 * VXLAN between hosts, routed: each host's blocks lie behind its VTEP, whose MAC and address
 * every other host is told. Nothing is flooded and nothing learnt from packets: frames for a MAC
 * that was not told are dropped.
 */

import { type Family, familyOf } from "../../core/address.ts"
import { overheadOf } from "../../core/overhead.ts"
import { LariatError, runAll } from "../../errors.ts"
import { NETLINK_ROUTE, NUD_PERMANENT } from "../../netlink/constants.ts"
import { NetlinkError } from "../../netlink/error.ts"
import {
  deleteForwarding,
  listForwardings,
  replaceForwarding,
} from "../../netlink/route/forwarding.ts"
import { listLinks } from "../../netlink/route/link.ts"
import { deleteNeigh, listNeighs, newNeigh } from "../../netlink/route/neigh.ts"
import type { RouteInfo } from "../../netlink/route/route.ts"
import {
  changeVxlanLocal,
  getVxlan,
  newVxlan,
  type VxlanInfo,
} from "../../netlink/route/vxlan_link.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { EEXIST } from "../../sys/ffi/errno.ts"
import { currentNetns, type Netns } from "../../sys/netns/netns.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf, PeerLink } from "../driver.ts"
import { KernelTable, settle } from "../kernel_table.ts"
import { type DeviceSpec, deviceTrouble, isDeviceGone, OverlayDevice } from "../overlay_device.ts"
import { OverlayRoutes } from "../overlay_routes.ts"
import { PeerPlans } from "../peer_plans.ts"
import { checkOwnAddresses, NO_COUNTERS } from "../peer_routes.ts"
import { waysTo, wayTrouble } from "../peer_ways.ts"
import { addressOf, ownFamily } from "../underlay_address.ts"
import { type Forwarding, type Neighbour, planPeer, type VxlanPlan } from "./plan.ts"
import { type Vtep, vtepMac, vtepParameters } from "./vtep.ts"

/** Settings of {@link VxlanDriver}. */
export interface VxlanOptions {
  /** VXLAN network identifier. Default 1042, Rancher's. */
  readonly vni?: number | undefined
  /** UDP port. Default 4789 (RFC 7348 §8). */
  readonly port?: number | undefined
  /** Of addresses outside. Default IPv4 where this host has one. */
  readonly family?: Family | undefined
}

const DEFAULT_VNI = 1042
const DEFAULT_PORT = 4789

const NOTHING = { forwardings: [], neighbours: [], routes: [] }

export class VxlanDriver implements Driver {
  readonly kind = "vxlan"
  /** `lrv` and the network's number. */
  readonly device: string
  readonly #network: OverlayNetwork
  readonly #options: VxlanOptions
  readonly #socket: NetlinkSocket
  readonly #netns: Netns
  readonly #routes: OverlayRoutes
  readonly #device: OverlayDevice
  readonly #forwardings = new KernelTable<Forwarding>({
    what: "forwarding",
    key: ({ mac }) => mac,
    describe: ({ mac, remote }) => `of ${mac} to ${remote ?? "nowhere"}`,
    same: (a, b) => a.index === b.index && a.remote === b.remote,
    add: ({ index, mac, remote = "" }) => replaceForwarding(index, mac, remote),
    remove: ({ index, mac, remote }) => deleteForwarding(index, mac, remote),
  })
  readonly #neighbours = new KernelTable<Neighbour>({
    what: "neighbour",
    key: ({ address }) => address,
    describe: ({ address, mac }) => `${address} at ${mac}`,
    same: (a, b) => a.index === b.index && a.mac === b.mac,
    add: ({ index, address, mac }) => newNeigh(index, address, mac),
    remove: ({ index, address }) => deleteNeigh(index, address),
  })
  readonly #peers = new PeerPlans<VxlanPlan>({
    plan: (peer) => this.#plan(peer),
    desired: (hostId, plan) => this.#want(hostId, plan),
  })
  #self: OverlaySelf | undefined
  #vtep: (Vtep & { readonly local: string }) | undefined

  private constructor(network: OverlayNetwork, options: VxlanOptions, socket: NetlinkSocket) {
    this.#network = network
    this.#options = options
    this.#socket = socket
    this.#netns = currentNetns()
    this.device = `lrv${network.number}`
    this.#routes = new OverlayRoutes(socket, network.subnets)
    this.#device = new OverlayDevice(socket, this.#netns, (dst) => this.#routes.contains(dst))
  }

  /**
   * A driver for the current network namespace. The kernel is not changed yet.
   *
   * @throws SystemError; LariatError config-invalid
   */
  static open(network: OverlayNetwork, options: VxlanOptions = {}): VxlanDriver {
    const socket = NetlinkSocket.open(NETLINK_ROUTE)
    try {
      return new VxlanDriver(network, options, socket)
    } catch (error) {
      socket.close()
      throw error
    }
  }

  /** `mac`, `vni`, `port` and `family` of the VTEP; empty before {@link prepare}. */
  get parameters(): Readonly<Record<string, string>> {
    return this.#vtep === undefined ? {} : vtepParameters(this.#vtep)
  }

  /**
   * As the interface says; again when something of this host changed.
   *
   * @throws LariatError kernel-unsupported; ifname-exists when a name or the VNI is taken;
   *   config-invalid for addresses that do not fit; mtu-too-small; NetlinkError
   */
  prepare(self: OverlaySelf): void {
    checkOwnAddresses(self, this.#network, this.#routes)
    this.#vtep = this.#ownVtep(self)
    this.#self = self
    this.#ensureDevice()
    this.#load()
    this.#replan()
    this.#bring()
  }

  putPeer(peer: OverlayPeer): void {
    this.putPeers([peer])
  }

  /** {@link putPeer} for many at once: one datagram to the kernel for many rows. */
  putPeers(peers: readonly OverlayPeer[]): void {
    this.#peers.put(peers)
    this.#settle()
  }

  removePeer(hostId: string): void {
    if (this.#peers.remove(hostId, () => this.#want(hostId, NOTHING))) this.#settle()
  }

  /**
   * As the interface says. Takes out what no peer that was put needs: to be called when all that
   * are known have been put.
   */
  repair(): readonly string[] {
    const did = this.#ensureDevice()
    this.#load()
    this.#replan()
    for (const table of [this.#device, this.#forwardings, this.#neighbours, this.#routes]) {
      table.sweep()
    }
    return [...did, ...this.#bring()]
  }

  /** VXLAN counts nothing by peer: bytes and packets are 0. */
  links(): readonly PeerLink[] {
    const known = this.#peers.all()
    const ways = waysTo(
      this.#socket,
      known.map(({ plan }) => plan.remote),
    )
    const trouble = deviceTrouble(this.#socket, this.device)
    return known.map(({ peer: { hostId }, plan }) => {
      const { remote } = plan
      const why = trouble ?? this.#trouble(hostId, ways.get(remote ?? ""))
      const reason = plan.reason ?? why
      const ready = plan.routes.length > 0 && why === undefined
      return { hostId, remote, ready, reason, ...NO_COUNTERS }
    })
  }

  close(): void {
    this.#socket.close()
    this.#netns.close()
  }

  remove(): void {
    this.#peers.clear()
    runAll(`removing network ${this.#network.name}`, [
      () => this.#routes.clear(),
      () => this.#device.remove({ name: this.device, kind: "vxlan" }),
    ])
    for (const table of [this.#forwardings, this.#neighbours]) {
      table.forget()
      table.observed([])
    }
  }

  #ownVtep({ hostId, underlay }: OverlaySelf): Vtep & { readonly local: string } {
    const { vni = DEFAULT_VNI, port = DEFAULT_PORT, family = ownFamily(underlay) } = this.#options
    const local = family === undefined ? undefined : addressOf(underlay, family)
    if (family === undefined || local === undefined) {
      const version = family === undefined ? "IP" : `IPv${family}`
      throw new LariatError(
        `Cannot carry network ${this.#network.name} in VXLAN: this host has no ${version} address to others`,
        {
          code: "config-invalid",
          hint: "Say which address others reach this host at (--host-ip).",
        },
      )
    }
    return { mac: vtepMac(hostId, this.#network.name), vni, port, family, local }
  }

  #ensureDevice(): string[] {
    const { self, vtep } = this.#prepared()
    const { name, subnets, underlayMtu } = this.#network
    const spec: DeviceSpec = {
      name: this.device,
      kind: "vxlan",
      title: "VXLAN",
      network: name,
      mtu: overheadOf("vxlan", { outer: underlayMtu, family: vtep.family }).mtu,
      mac: vtep.mac,
      ipv6: [...subnets, ...self.overlay].some((text) => familyOf(text) === 6),
      make: (link) => newVxlan(link, { ...vtep, learning: false }),
      unfit: (link) => unfit(getVxlan(this.#socket, link.index), vtep),
    }
    try {
      const did = this.#device.ensure(spec)
      return [...did, ...this.#ensureLocal(vtep.local)]
    } catch (error) {
      if (!(error instanceof NetlinkError && error.errno === EEXIST)) throw error
      throw this.#taken(vtep, error)
    }
  }

  #ensureLocal(local: string): string[] {
    const index = this.#device.index
    const found = getVxlan(this.#socket, index)?.local
    if (found === local) return []
    this.#socket.request(changeVxlanLocal(index, local))
    return [`changed the source of ${this.device} from ${found ?? "any"} to ${local}`]
  }

  #taken({ vni, port }: Vtep, cause: NetlinkError): LariatError {
    const other = listLinks(this.#socket, { kind: "vxlan" }).find(({ index }) => {
      const info = getVxlan(this.#socket, index)
      return info?.vni === vni && info.port === port
    })
    const who = other === undefined ? "another link has" : `${other.name} has`
    return new LariatError(
      `Cannot make ${this.device} for network ${this.#network.name}: ${who} VNI ${vni} at UDP port ${port}`,
      {
        code: "ifname-exists",
        hint: "Choose another `vni` or `port` for the network, or remove that link.",
        cause,
      },
    )
  }

  #prepared() {
    if (this.#self === undefined || this.#vtep === undefined) {
      throw new LariatError(`Cannot use ${this.device}: it is not prepared`, { code: "internal" })
    }
    return { self: this.#self, vtep: this.#vtep }
  }

  #load(): void {
    const { index } = this.#device
    this.#routes.load()
    this.#device.load()
    this.#forwardings.observed(
      listForwardings(this.#socket, index).map(({ mac, address }) => ({
        index,
        mac,
        remote: address,
      })),
    )
    // Entries that nobody made for good come and go by themselves.
    const permanent = listNeighs(this.#socket, index).filter(({ state }) => state === NUD_PERMANENT)
    this.#neighbours.observed(
      permanent.flatMap(({ address, mac }) =>
        address === undefined ? [] : [{ index, address, mac }],
      ),
    )
  }

  /** Plans anew for every peer where the device is another, or something of this host. */
  #replan(): void {
    const { self, vtep } = this.#prepared()
    this.#device.wantAddresses(self.overlay)
    this.#peers.restOn(self, vtep, this.#device.index)
  }

  #plan(peer: OverlayPeer): VxlanPlan {
    const { self, vtep } = this.#prepared()
    const { hostId } = peer
    return planPeer(
      {
        network: this.#network,
        self,
        vtep,
        index: this.#device.index,
        contains: (prefix) => this.#routes.contains(prefix),
        macHolder: (mac) => {
          const holder = this.#forwardings.ownerOf(mac)
          return holder === hostId ? undefined : holder
        },
      },
      peer,
    )
  }

  #want(
    hostId: string,
    { forwardings, neighbours, routes }: Pick<VxlanPlan, "forwardings" | "neighbours" | "routes">,
  ) {
    this.#forwardings.desired(hostId, forwardings)
    this.#neighbours.desired(hostId, neighbours)
    this.#routes.desired(hostId, routes)
  }

  #bring(): string[] {
    const { addresses } = this.#device
    return settle(this.#socket, [
      addresses,
      this.#forwardings,
      this.#neighbours,
      this.#routes.table,
    ])
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
  #trouble(hostId: string, way: RouteInfo | undefined): string | undefined {
    const lost = wayTrouble(way, this.#device.index)
    if (lost !== undefined) return lost
    const tables = [this.#forwardings, this.#neighbours, this.#routes]
    if (tables.every((table) => table.complete(hostId))) return undefined
    return "the kernel lacks part of what was asked for; it is mended soon"
  }
}

function unfit(info: VxlanInfo | undefined, { vni, port, family }: Vtep): string | undefined {
  if (info === undefined) return "it is no VXLAN link"
  if (info.vni !== vni) return `its VNI was ${info.vni}, not ${vni}`
  if (info.port !== port) return `its UDP port was ${info.port}, not ${port}`
  if (info.learning) return "it learnt from packets"
  if (info.local !== undefined && familyOf(info.local) !== family) return `it was not IPv${family}`
  return undefined
}
