/** What differs from one kind of driver to the next: what the kernel is to have, and how. */

import type { DriverKind } from "../config/network.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import type { OverlayNetwork, OverlaySelf, PeerLink } from "./driver.ts"
import type { KernelPart } from "./kernel_table.ts"
import type { KeyedDriver } from "./keyed_driver.ts"
import type { DeviceSpec, OverlayDevice } from "./overlay_device.ts"
import type { OverlayRoutes } from "./overlay_routes.ts"
import type { PeerPlan, PeerPlanner, Planned } from "./peer_plans.ts"

/** What the kernel tells of the way to a peer now. */
export interface Sight extends Partial<Omit<PeerLink, "hostId" | "ready" | "reason">> {
  /** Why nothing can be sent; undefined when something can. */
  readonly trouble?: string | undefined
}

/** The device that has this host's own addresses on the network. */
export interface OverlayLink
  extends Pick<OverlayDevice, "index" | "ensure" | "wantAddresses" | "remove"> {
  readonly addresses: KernelPart
}

/** What a kind is given of its driver. */
export interface OverlayBase<P extends PeerPlan> {
  readonly network: OverlayNetwork
  /** Of NETLINK_ROUTE. */
  readonly socket: NetlinkSocket
  readonly link: OverlayLink
  readonly routes: OverlayRoutes
  /** The peers that are known, with their plans. */
  all(): Planned<P>[]
  get(hostId: string): Planned<P> | undefined
  /** Something that a peer's plan rests on changed: plans anew, and brings that to the kernel. */
  replan(hostId: string): void
}

/**
 * One kind of driver, for one network; `OverlayDriver` does the rest. What it is asked for comes in
 * this order whenever the kernel is read: {@link guard}, {@link device}, {@link equip}, the loading
 * of {@link parts}, {@link loaded}; then, each time, what `PeerPlanner` has, and {@link settled}.
 */
export interface OverlayKind<P extends PeerPlan> extends PeerPlanner<P> {
  readonly kind: DriverKind
  /** Name of the device that has this host's own addresses, and the kernel's word for its kind. */
  readonly deviceName: string
  readonly linkKind: string
  /** Whether blocks are routed to that device. */
  readonly routesToDevice: boolean
  readonly parameters: Readonly<Record<string, string>>
  readonly keyed?: KeyedDriver
  /** What the kernel has beside addresses and routes; what others rely on first. */
  readonly parts: readonly KernelPart[]

  /** Makes what must stand before anything else does. @throws LariatError */
  guard?(self: OverlaySelf): void
  /** What the device is to be. @throws LariatError config-invalid, mtu-too-small */
  device(self: OverlaySelf, udp: boolean): Omit<DeviceSpec, "name" | "kind" | "network" | "ipv6">
  /** The device is there: gives it what its kind alone has. @returns what was done */
  equip?(self: OverlaySelf): readonly string[]
  /** The kernel was read. @throws NetlinkError */
  loaded?(self: OverlaySelf): void
  /** What all plans rest on beside this host's part and the device, as JSON can tell it. */
  context?(): unknown
  /**
   * What is wanted is in the kernel, or some of it was refused.
   *
   * @param sweep what nobody asked for is to go
   * @returns what was done
   * @throws what failed; it is tried again the next time
   */
  settled?(sweep: boolean): readonly string[]
  /** Looks at the kernel. @returns what it tells of one of them */
  look(known: readonly Planned<P>[]): (one: Planned<P>) => Sight
  /** Takes out what there is beside routes and the device, step by step; forgets the rest. */
  removals?(): readonly (() => void)[]
  close?(): void
}
