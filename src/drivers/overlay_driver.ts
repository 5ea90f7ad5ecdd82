/**
 * What all drivers do alike: compares what a network is to be with what the kernel has of it, and
 * asks for the difference.
 */

import type { DriverKind } from "../config/network.ts"
import { familyOf } from "../core/address.ts"
import { runAll } from "../errors.ts"
import { NETLINK_ROUTE } from "../netlink/constants.ts"
import { NetlinkSocket } from "../netlink/socket.ts"
import { currentNetns, type Netns } from "../sys/netns/netns.ts"
import type { Driver, OverlayDesired, OverlayNetwork, PeerLink } from "./driver.ts"
import { attemptAll } from "./failures.ts"
import { type KernelPart, settle } from "./kernel_table.ts"
import type { KeyedDriver } from "./keyed_driver.ts"
import { type DeviceSpec, deviceTrouble, isDeviceGone, OverlayDevice } from "./overlay_device.ts"
import type { OverlayBase, OverlayKind, OverlayLink } from "./overlay_kind.ts"
import { OverlayRoutes } from "./overlay_routes.ts"
import { OPEN_GATE, type PeerGate, type PeerSources } from "./peer_gate.ts"
import { type PeerPlan, PeerPlans, type Planned } from "./peer_plans.ts"
import { checkOwnAddresses, NO_COUNTERS } from "./peer_routes.ts"
import { canonicalAddresses } from "./underlay_address.ts"

/** What {@link OverlayDriver} works with. */
export interface OverlayParts extends Pick<OverlayBase<PeerPlan>, "socket" | "routes" | "link"> {
  readonly netns: Pick<Netns, "close">
}

export class OverlayDriver<P extends PeerPlan> implements Driver, OverlayBase<P> {
  readonly network: OverlayNetwork
  readonly socket: NetlinkSocket
  readonly link: OverlayLink
  readonly routes: OverlayRoutes
  readonly #own: OverlayKind<P>
  readonly #netns: Pick<Netns, "close">
  readonly #parts: readonly KernelPart[]
  readonly #plans: PeerPlans<P>
  readonly #gate: PeerGate
  /** What the device was last made by. */
  #spec = ""
  /** This host's part that the kernel was last read for; empty when it is to be read again. */
  #readFor = ""
  #isReady = false

  /**
   * As {@link open}, of parts that are there; they are closed with it.
   *
   * @throws what `kind` throws
   */
  constructor(
    network: OverlayNetwork,
    { socket, netns, routes, link }: OverlayParts,
    kind: (base: OverlayBase<P>) => OverlayKind<P>,
  ) {
    this.network = network
    this.socket = socket
    this.routes = routes
    this.link = link
    this.#netns = netns
    this.#gate = network.gate ?? OPEN_GATE
    const own = kind(this)
    this.#own = own
    // A route comes when what it leads to is there, and goes before that.
    this.#parts = [link.addresses, ...own.parts, routes.table]
    this.#plans = new PeerPlans<P>({
      meet: (peers) => own.meet?.(peers),
      plan: (peer) => own.plan(peer),
      desired: (hostId, plan, before) => {
        this.#gate.desired(hostId, plan && this.#sourcesOf(hostId, plan))
        routes.desired(hostId, plan?.routes ?? [])
        own.desired(hostId, plan, before)
      },
    })
  }

  /**
   * A driver for the current network namespace. The kernel is not changed yet.
   *
   * @param kind makes what the driver has of its own; called once
   * @throws SystemError; LariatError config-invalid; what `kind` throws
   */
  static open<P extends PeerPlan>(
    network: OverlayNetwork,
    kind: (base: OverlayBase<P>) => OverlayKind<P>,
  ): Driver {
    const socket = NetlinkSocket.open(NETLINK_ROUTE)
    const netns = currentNetns()
    try {
      const routes = new OverlayRoutes(socket, network.subnets)
      const link = new OverlayDevice(socket, netns, (dst) => routes.contains(dst))
      return new OverlayDriver(network, { socket, netns, routes, link }, kind)
    } catch (error) {
      socket.close()
      netns.close()
      throw error
    }
  }

  get kind(): DriverKind {
    return this.#own.kind
  }

  get parameters(): Readonly<Record<string, string>> {
    return this.#own.parameters
  }

  get keyed(): KeyedDriver | undefined {
    return this.#own.keyed
  }

  get isReady(): boolean {
    return this.#isReady
  }

  set(desired: OverlayDesired, reread = false): readonly string[] {
    try {
      return this.#set(desired, reread)
    } catch (error) {
      if (!isDeviceGone(error)) throw error
      // A link went away or down since the kernel was read.
      return this.#set(desired, true)
    }
  }

  links(): readonly PeerLink[] {
    if (!this.#isReady) return []
    const { socket } = this
    const own = this.#own
    const known = this.all()
    const sightOf = own.look(known)
    const dead = own.routesToDevice ? deviceTrouble(socket, own.deviceName) : undefined
    return known.map((one) => {
      const { plan } = one
      const { hostId } = one.peer
      const { trouble, ...seen } = sightOf(one)
      const why = dead ?? trouble ?? this.#lack(hostId)
      const ready = plan.routes.length > 0 && why === undefined
      const reason = plan.reason ?? why
      return { hostId, remote: plan.remote, ready, reason, ...NO_COUNTERS, ...seen }
    })
  }

  all(): Planned<P>[] {
    return this.#plans.all()
  }

  get(hostId: string): Planned<P> | undefined {
    return this.#plans.get(hostId)
  }

  /** @throws what failed, as {@link set} */
  replan(hostId: string): void {
    if (this.get(hostId) === undefined) return
    this.#plans.replan(hostId)
    this.#settle(false)
  }

  close(): void {
    this.#own.close?.()
    this.socket.close()
    this.#netns.close()
  }

  remove(): void {
    this.#isReady = false
    this.#readFor = ""
    this.#plans.set(new Map())
    const { routes, link } = this
    const own = this.#own
    runAll(`removing network ${this.network.name}`, [
      () => routes.clear(),
      () => link.remove({ name: own.deviceName, kind: own.linkKind }),
      ...(own.removals?.() ?? []),
      () => this.#gate.remove(),
    ])
  }

  #set(desired: OverlayDesired, reread: boolean): string[] {
    const { self, udp, peers, complete } = desired
    const readFor = JSON.stringify([self, udp, this.network.underlayMtu])
    const read = () => {
      if (!reread && readFor === this.#readFor) return
      this.#readFor = ""
      const mended = this.#prepare(desired)
      this.#readFor = readFor
      return mended
    }
    const bring = () => {
      if (!this.#isReady) return
      this.#plans.set(peers)
      if (complete) this.#gate.complete()
      return this.#settle(reread && complete)
    }
    return attemptAll([read, bring])
  }

  /** Makes what stands before any peer does, and reads the kernel. @returns what was mended */
  #prepare({ self, udp }: OverlayDesired): readonly string[] {
    const { network, routes, link } = this
    const own = this.#own
    checkOwnAddresses(self, network, routes)
    this.#gate.own(self.blocks)
    own.guard?.(self)
    const texts = [...network.subnets, ...self.overlay]
    const spec: DeviceSpec = {
      name: own.deviceName,
      kind: own.linkKind,
      network: network.name,
      ipv6: texts.some((text) => familyOf(text) === 6),
      ...own.device(self, udp),
    }
    const did = [...link.ensure(spec), ...(own.equip?.(self) ?? [])]
    const text = JSON.stringify(spec)
    // One that is to be otherwise than before was not broken.
    const mended = text === this.#spec ? did : []
    this.#spec = text
    for (const part of this.#parts) part.load()
    own.loaded?.(self)
    link.wantAddresses(self.overlay)
    this.#isReady = true
    this.#plans.restOn(self, link.index, network.underlayMtu, own.context?.())
    return mended
  }

  #settle(sweep: boolean): string[] {
    // Before the first packet to a peer, and so before its answer.
    this.#gate.settle()
    if (sweep) for (const part of this.#parts) part.sweep()
    return attemptAll([() => settle(this.#parts), () => this.#own.settled?.(sweep)])
  }

  #sourcesOf(hostId: string, { remote, sources = [] }: P): PeerSources {
    const said = this.get(hostId)?.peer.underlay ?? []
    const hosts = [...said, ...(remote === undefined ? [] : [remote])]
    return { hosts: canonicalAddresses(hosts), sources }
  }

  /** Why nothing reaches a peer, by what is known of the kernel. */
  #lack(hostId: string): string | undefined {
    const { routes } = this
    if ([...this.#own.parts, routes.table].every((part) => part.complete(hostId))) return undefined
    return "the kernel lacks part of what was asked for; it is mended soon"
  }
}
