/**
 * Plain routes between hosts on one layer-2 network, as Rancher's per-host-subnet: a peer's
 * blocks lie behind its own address. No byte is added to a packet, and nothing is encrypted.
 */

import { familyOf } from "../../core/address.ts"
import { runAll } from "../../errors.ts"
import { NETLINK_ROUTE } from "../../netlink/constants.ts"
import { newBridge } from "../../netlink/route/link.ts"
import type { RouteInfo } from "../../netlink/route/route.ts"
import { lookUpRoutes } from "../../netlink/route/route_lookup.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { currentNetns, type Netns } from "../../sys/netns/netns.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf, PeerLink } from "../driver.ts"
import { settle } from "../kernel_table.ts"
import { type DeviceSpec, isDeviceGone, OverlayDevice } from "../overlay_device.ts"
import { OverlayRoutes } from "../overlay_routes.ts"
import { checkOwnAddresses, NO_COUNTERS } from "../peer_routes.ts"
import { familyIfAddress } from "../underlay_address.ts"
import { neighbourTrouble, planPeer, type RoutedPlan } from "./plan.ts"

/** A peer that was put, and what came of it. */
interface Known {
  readonly peer: OverlayPeer
  readonly plan: RoutedPlan
}

export class RoutedDriver implements Driver {
  readonly kind = "routed"
  /** Blocks are routed to links of the underlay. */
  readonly device = undefined
  /** Nothing that other hosts must know. */
  readonly parameters: Readonly<Record<string, string>> = {}
  readonly #network: OverlayNetwork
  readonly #socket: NetlinkSocket
  readonly #netns: Netns
  readonly #routes: OverlayRoutes
  readonly #holder: OverlayDevice
  readonly #peers = new Map<string, Known>()
  #self: OverlaySelf | undefined

  private constructor(network: OverlayNetwork, socket: NetlinkSocket) {
    this.#network = network
    this.#socket = socket
    this.#routes = new OverlayRoutes(socket, network.subnets)
    this.#netns = currentNetns()
    this.#holder = new OverlayDevice(socket, this.#netns, (dst) => this.#routes.contains(dst))
  }

  /**
   * A driver for the current network namespace. The kernel is not changed yet.
   *
   * @throws SystemError; LariatError config-invalid
   */
  static open(network: OverlayNetwork): RoutedDriver {
    const socket = NetlinkSocket.open(NETLINK_ROUTE)
    try {
      return new RoutedDriver(network, socket)
    } catch (error) {
      socket.close()
      throw error
    }
  }

  /**
   * As the interface says; again when something of this host changed.
   *
   * @throws LariatError ifname-exists; config-invalid for addresses that do not fit; NetlinkError
   */
  prepare(self: OverlaySelf): void {
    checkOwnAddresses(self, this.#network, this.#routes)
    this.#self = self
    this.#holder.ensure(this.#spec(self))
    this.#load()
    this.#replan(self)
    this.#bring()
  }

  putPeer(peer: OverlayPeer): void {
    this.putPeers([peer])
  }

  /** {@link putPeer} for many at once: one datagram to the kernel for many routes. */
  putPeers(peers: readonly OverlayPeer[]): void {
    this.#plan(peers)
    this.#settle()
  }

  removePeer(hostId: string): void {
    if (!this.#peers.delete(hostId)) return
    this.#routes.desired(hostId, [])
    this.#settle()
  }

  /**
   * As the interface says: a peer that came behind a router, or out from behind one, loses or gets
   * its routes. Takes out what no peer that was put needs: to be called when all that are known
   * have been put.
   */
  repair(): readonly string[] {
    const self = this.#self
    if (self === undefined) return []
    const did = this.#holder.ensure(this.#spec(self))
    this.#load()
    this.#replan(self)
    this.#holder.sweep()
    this.#routes.sweep()
    return [...did, ...this.#bring()]
  }

  /** Plain routes count nothing: bytes and packets are 0. */
  links(): readonly PeerLink[] {
    const known = [...this.#peers.values()]
    const ways = this.#waysTo(known.map(({ plan: { remote } }) => remote ?? ""))
    return known.map(({ peer: { hostId }, plan }) => {
      const { remote } = plan
      const why = this.#trouble(hostId, plan, ways)
      const ready = plan.routes.length > 0 && why === undefined
      return { hostId, remote, ready, reason: plan.reason ?? why, ...NO_COUNTERS }
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
      () => this.#holder.remove({ name: this.#holderName, kind: "bridge" }),
    ])
  }

  get #holderName(): string {
    return `lrr${this.#network.number}`
  }

  /**
   * What has this host's own addresses on the network: a bridge without ports, because every
   * kernel that carries containers has bridges, and not every one has dummies.
   */
  #spec(self: OverlaySelf): DeviceSpec {
    const { name, underlayMtu } = this.#network
    return {
      name: this.#holderName,
      kind: "bridge",
      title: "bridges",
      network: name,
      mtu: underlayMtu,
      mac: undefined,
      ipv6: self.overlay.some((address) => familyOf(address) === 6),
      make: (link) => newBridge({ ...link, multicastSnooping: false }),
      unfit: () => undefined,
    }
  }

  #load(): void {
    this.#routes.load()
    this.#holder.load()
  }

  /** Plans anew for every peer: the ways to them may be others, or this host's addresses. */
  #replan(self: OverlaySelf): void {
    this.#holder.wantAddresses(self.overlay)
    this.#plan([...this.#peers.values()].map(({ peer }) => peer))
  }

  #plan(peers: readonly OverlayPeer[]): void {
    const self = this.#self
    if (self === undefined) return
    const ways = this.#waysTo(peers.flatMap(({ underlay }) => underlay))
    for (const peer of peers) {
      const plan = planPeer(
        {
          network: this.#network,
          self,
          contains: (prefix) => this.#routes.contains(prefix),
          way: (address) => ways.get(address),
        },
        peer,
      )
      this.#peers.set(peer.hostId, { peer, plan })
      this.#routes.desired(peer.hostId, plan.routes)
    }
  }

  #waysTo(addresses: readonly string[]): Map<string, RouteInfo> {
    const real = addresses.filter((address) => familyIfAddress(address) !== undefined)
    return lookUpRoutes(this.#socket, [...new Set(real)])
  }

  #bring(): string[] {
    return settle(this.#socket, [this.#holder.addresses, this.#routes.table])
  }

  /** As {@link #bring}; a link that went away meanwhile, ours or the underlay's, is looked at anew. */
  #settle(): void {
    const self = this.#self
    try {
      this.#bring()
    } catch (error) {
      if (!isDeviceGone(error) || self === undefined) throw error
      this.prepare(self)
    }
  }

  /** Why nothing reaches a peer, as far as the kernel tells. */
  #trouble(
    hostId: string,
    { remote }: RoutedPlan,
    ways: ReadonlyMap<string, RouteInfo>,
  ): string | undefined {
    if (remote === undefined) return undefined
    const trouble = neighbourTrouble(remote, ways.get(remote))
    if (trouble !== undefined || this.#routes.complete(hostId)) return trouble
    return "the kernel lacks part of what was asked for; it is mended soon"
  }
}
