import type { Network } from "../../../config/network.ts"
import type { Driver, OverlayPeer, OverlaySelf, PeerLink } from "../../../drivers/driver.ts"
import { messageOf } from "../../../errors.ts"
import type { Health } from "../../health.ts"
import { type Carried, fixedChanges } from "./driver_change.ts"
import type { Retries } from "./retries.ts"

/** One network's way to other hosts. */
export interface Overlay {
  readonly network: string
  readonly driver: Driver
  /** What the driver was opened with. */
  readonly configured: Carried
}

/** What a peer looks like through one network. */
export interface PeerPath extends PeerLink {
  readonly network: string
  readonly driver: string
}

/** What a network's driver is to know, and how far it does. */
interface Desired {
  readonly overlay: Overlay
  /** Whether room is kept for a UDP header. */
  udp: boolean
  self: OverlaySelf | undefined
  readonly peers: Map<string, OverlayPeer>
  /** Whether all peers were named: only then what is left of others may be taken away. */
  complete: boolean
  /** The last that the driver was prepared with; undefined while it is not. */
  prepared: string | undefined
}

/**
 * The drivers of this host's networks. A driver that fails does not keep the others, or containers
 * of this host, from working: what it is to know is gone over again, all of it, until it holds.
 */
export class Overlays {
  readonly #health: Health
  readonly #retries: Retries
  readonly #all = new Map<string, Desired>()

  constructor(health: Health, retries: Retries) {
    this.#health = health
    this.#retries = retries
  }

  /** The driver of a network. */
  get(network: string): Overlay | undefined {
    return this.#all.get(network)?.overlay
  }

  all(): readonly Overlay[] {
    return [...this.#all.values()].map(({ overlay }) => overlay)
  }

  /** Takes a network's driver in. */
  add(overlay: Overlay): void {
    this.#all.set(overlay.network, {
      overlay,
      udp: overlay.configured.encapsulation.udp !== "none",
      self: undefined,
      peers: new Map(),
      complete: false,
      prepared: undefined,
    })
  }

  /**
   * Takes in that a network's configuration may have changed; what a running driver cannot change
   * becomes a problem of `status`.
   *
   * @returns false for a network that has no driver yet
   */
  adjust(network: Pick<Network, "name"> & Carried): boolean {
    const { name, encapsulation } = network
    const desired = this.#all.get(name)
    if (desired === undefined) return false
    const waiting = fixedChanges(desired.overlay.configured, network)
    if (waiting.length === 0) this.#health.clear(`restart/${name}`)
    else {
      this.#health.raise(`restart/${name}`, {
        severity: "warning",
        what: `network ${name} goes on as it was: a running agent cannot change ${waiting.join(", ")}`,
        hint: "restart the agent, or put the file back",
      })
    }
    desired.udp = encapsulation.udp !== "none"
    this.#try(desired, ({ overlay, udp }) => overlay.driver.keyed?.setUdp(udp))
    return true
  }

  /** Takes a network away: nothing of it stays in the kernel. */
  remove(network: string): void {
    const overlay = this.get(network)
    if (overlay === undefined) return
    this.#all.delete(network)
    this.#retries.held(network)
    this.#health.clear(`restart/${network}`)
    try {
      overlay.driver.remove()
      overlay.driver.close()
    } catch (error) {
      const what = `network ${network} cannot be taken away: ${messageOf(error)}`
      this.#health.raise(`overlay/${network}`, { severity: "error", what })
    }
  }

  /** Says what this host's part is; the kernel is asked only when it changed. */
  prepare(network: string, self: OverlaySelf): void {
    const desired = this.#all.get(network)
    if (desired === undefined) return
    const known = JSON.stringify(self)
    const isNews = known !== JSON.stringify(desired.self)
    desired.self = self
    if (desired.prepared === known || (!isNews && this.#retries.isFailing(network))) return
    this.#try(desired, bring)
  }

  /** Whether a network's driver is ready for peers. */
  isPrepared(network: string): boolean {
    return this.#all.get(network)?.prepared !== undefined
  }

  /** Takes a peer in, or what changed of it. */
  putPeer(network: string, peer: OverlayPeer): void {
    const desired = this.#all.get(network)
    desired?.peers.set(peer.hostId, peer)
    if (desired?.prepared === undefined) return
    this.#try(desired, ({ overlay }) => overlay.driver.putPeer(peer))
  }

  removePeer(network: string, hostId: string): void {
    const desired = this.#all.get(network)
    if (desired?.peers.delete(hostId) !== true) return
    this.#try(desired, ({ overlay }) => overlay.driver.removePeer(hostId))
  }

  /** Gives a driver that takes one the key of this host and another one. */
  setPresharedKey(network: string, hostId: string, key: () => Uint8Array): void {
    const desired = this.#all.get(network)
    const preshared = desired?.overlay.driver.preshared
    if (desired === undefined || preshared === undefined) return
    this.#try(desired, () => preshared.setPresharedKey(hostId, key()))
  }

  /** All peers of a network have been named: what an earlier run left of others may go. */
  completed(network: string): void {
    const desired = this.#all.get(network)
    if (desired === undefined) return
    desired.complete = true
    this.repair(network)
  }

  /** Compares drivers with the kernel and mends what differs; of one network or of all. */
  repair(network?: string): void {
    for (const one of network === undefined ? this.#all.keys() : [network]) {
      const desired = this.#all.get(one)
      // What fails is gone over again anyway.
      if (desired?.prepared === undefined || this.#retries.isFailing(one)) continue
      this.#try(desired, (it) => this.#mend(it))
    }
  }

  /** How the kernel reaches every peer. */
  paths(): PeerPath[] {
    return this.all().flatMap(({ network, driver }) => {
      if (!this.isPrepared(network)) return []
      return driver.links().map((link) => ({ ...link, network, driver: driver.kind }))
    })
  }

  /** The kernel keeps everything. */
  close(): void {
    for (const { driver } of this.all()) driver.close()
  }

  #mend({ overlay, complete }: Desired): void {
    if (!complete) return
    for (const what of overlay.driver.repair()) {
      this.#health.repaired(`network ${overlay.network}: ${what}`)
    }
  }

  /** Goes over everything again: what is said once may not have been heard. */
  #again(desired: Desired): void {
    const { network } = desired.overlay
    if (this.#all.get(network) !== desired) return
    try {
      desired.overlay.driver.keyed?.setUdp(desired.udp)
      bring(desired)
      if (desired.prepared !== undefined) this.#mend(desired)
      this.#retries.held(network)
    } catch (error) {
      this.#retries.failed(network, error, () => this.#again(desired))
    }
  }

  /** Makes one change; one that works is no sign that what failed before holds. */
  #try(desired: Desired, change: (desired: Desired) => void): void {
    try {
      change(desired)
    } catch (error) {
      this.#retries.failed(desired.overlay.network, error, () => this.#again(desired))
    }
  }
}

/** Prepares a driver and puts all its peers; one that fails does not keep the others from it. */
function bring(desired: Desired): void {
  const { overlay, self, peers } = desired
  if (self === undefined) return
  overlay.driver.prepare(self)
  desired.prepared = JSON.stringify(self)
  const failures: unknown[] = []
  for (const peer of peers.values()) {
    try {
      overlay.driver.putPeer(peer)
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
