/**
 * Plain routes between hosts on one layer-2 network, as Rancher's per-host-subnet: a peer's
 * blocks lie behind its own address. No byte is added to a packet, and nothing is encrypted.
 */

import { getLink, type NewLink, newBridge } from "../../netlink/route/link.ts"
import type { RouteInfo } from "../../netlink/route/route.ts"
import { lookUpRoutes } from "../../netlink/route/route_lookup.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf } from "../driver.ts"
import { OverlayDriver } from "../overlay_driver.ts"
import type { OverlayBase, OverlayKind } from "../overlay_kind.ts"
import type { PeerPlan, Planned } from "../peer_plans.ts"
import { familyIfAddress } from "../underlay_address.ts"
import { neighbourTrouble, planPeer } from "./plan.ts"

/**
 * A driver for the current network namespace.
 *
 * @throws SystemError; LariatError config-invalid
 */
export function openRouted(network: OverlayNetwork): Driver {
  return OverlayDriver.open<PeerPlan>(network, (base) => new Routed(base))
}

class Routed implements OverlayKind<PeerPlan> {
  readonly kind = "routed"
  /**
   * What has this host's own addresses on the network: a bridge without ports, because every
   * kernel that carries containers has bridges, and not every one has dummies.
   */
  readonly deviceName: string
  readonly linkKind = "bridge"
  readonly routesToDevice = false
  /** Nothing that other hosts must know. */
  readonly parameters = {}
  readonly parts = []
  readonly #base: OverlayBase<PeerPlan>
  #self: OverlaySelf | undefined
  #reads = 0
  /** To addresses of the peers that are being planned. */
  #ways: ReadonlyMap<string, RouteInfo> = new Map()
  /** Names of the links that these lead by. */
  readonly #links = new Map<number, string>()

  constructor(base: OverlayBase<PeerPlan>) {
    this.#base = base
    this.deviceName = `lrr${base.network.number}`
  }

  device(self: OverlaySelf) {
    this.#self = self
    return {
      title: "bridges",
      mtu: this.#base.network.underlayMtu,
      make: (link: NewLink) => newBridge({ ...link, multicastSnooping: false }),
    }
  }

  /**
   * The ways to peers may be others each time that the kernel is read: one that came behind a
   * router, or out from behind one, loses or gets its routes.
   */
  context(): unknown {
    return this.#reads++
  }

  meet(peers: readonly OverlayPeer[]): void {
    this.#links.clear()
    this.#ways = this.#waysTo(peers.flatMap(({ underlay }) => underlay))
  }

  plan(peer: OverlayPeer): PeerPlan {
    const { network, routes } = this.#base
    return planPeer(
      {
        network,
        overlay: this.#self?.overlay ?? [],
        contains: (prefix) => routes.contains(prefix),
        way: (address) => this.#ways.get(address),
        linkName: (index) => this.#linkName(index),
      },
      peer,
    )
  }

  #linkName(index: number): string | undefined {
    const name = this.#links.get(index) ?? getLink(this.#base.socket, index)?.name
    if (name !== undefined) this.#links.set(index, name)
    return name
  }

  /** Routes are all that there is. */
  desired(): void {}

  /** Plain routes count nothing. */
  look(known: readonly Planned<PeerPlan>[]) {
    const ways = this.#waysTo(known.flatMap(({ plan }) => plan.remote ?? []))
    return ({ plan: { remote } }: Planned<PeerPlan>) => ({
      trouble: remote === undefined ? undefined : neighbourTrouble(remote, ways.get(remote)),
    })
  }

  #waysTo(addresses: readonly string[]): ReadonlyMap<string, RouteInfo> {
    const real = addresses.filter((address) => familyIfAddress(address) !== undefined)
    return lookUpRoutes(this.#base.socket, [...new Set(real)])
  }
}
