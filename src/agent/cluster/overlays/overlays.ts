import type { Network } from "../../../config/network.ts"
import type {
  Driver,
  OverlayDesired,
  OverlayPeer,
  OverlaySelf,
  PeerLink,
} from "../../../drivers/driver.ts"
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

/** What a network is to be, as far as it was said. */
interface Desired extends Omit<OverlayDesired, "self" | "peers"> {
  readonly overlay: Overlay
  readonly peers: Map<string, OverlayPeer>
  self: OverlaySelf | undefined
  udp: boolean
  complete: boolean
}

/**
 * The drivers of this host's networks. A driver that fails does not keep the others, or containers
 * of this host, from working: what its network is to be is set again, all of it, until it holds.
 */
export class Overlays {
  readonly #health: Health
  readonly #retries: Retries
  readonly #all = new Map<string, Desired>()
  /** Drivers of networks that are gone, and that something of stands in the kernel yet. */
  readonly #leaving = new Map<string, Driver>()

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
    const { network, configured } = overlay
    // What an earlier one of it left, this one finds.
    this.#left(network)
    this.#all.set(network, {
      overlay,
      udp: configured.encapsulation.udp !== "none",
      self: undefined,
      peers: new Map(),
      complete: false,
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
    const udp = encapsulation.udp !== "none"
    if (udp !== desired.udp) {
      desired.udp = udp
      this.#set(desired)
    }
    return true
  }

  /** Takes a network away: nothing of it stays in the kernel. */
  remove(network: string): void {
    const overlay = this.get(network)
    if (overlay === undefined) return
    this.#all.delete(network)
    this.#retries.held(network, "set")
    this.#health.clear(`restart/${network}`)
    this.#leaving.set(network, overlay.driver)
    this.#takeAway(network)
  }

  /** Says what this host's part is; the kernel is asked only when it changed. */
  prepare(network: string, self: OverlaySelf): void {
    const desired = this.#all.get(network)
    if (desired === undefined || JSON.stringify(self) === JSON.stringify(desired.self)) return
    desired.self = self
    this.#set(desired)
  }

  /** Takes a peer in, or what changed of it. */
  putPeer(network: string, peer: OverlayPeer): void {
    const desired = this.#all.get(network)
    desired?.peers.set(peer.hostId, peer)
    if (desired?.overlay.driver.isReady === true) this.#set(desired)
  }

  removePeer(network: string, hostId: string): void {
    const desired = this.#all.get(network)
    if (desired?.peers.delete(hostId) === true && desired.overlay.driver.isReady) this.#set(desired)
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
      if (desired?.complete !== true || this.#retries.isFailing(one, "set")) continue
      for (const what of this.#set(desired, true)) this.#health.repaired(`network ${one}: ${what}`)
    }
  }

  /** How the kernel reaches every peer. */
  paths(): PeerPath[] {
    return this.all().flatMap(({ network, driver }) =>
      driver.links().map((link) => ({ ...link, network, driver: driver.kind })),
    )
  }

  /** The kernel keeps everything. */
  close(): void {
    for (const { driver } of this.all()) driver.close()
    for (const network of [...this.#leaving.keys()]) this.#left(network)
  }

  /** Brings a network to what it is to be, and again until it holds. @returns what was done */
  #set(desired: Desired, reread = false): readonly string[] {
    const { overlay, self } = desired
    const { network, driver } = overlay
    if (self === undefined || this.#all.get(network) !== desired) return []
    try {
      const did = driver.set({ ...desired, self }, reread)
      this.#retries.held(network, "set")
      return did
    } catch (error) {
      this.#retries.failed(network, "set", error, () => this.#set(desired, true))
      return []
    }
  }

  #takeAway(network: string): void {
    try {
      this.#leaving.get(network)?.remove()
      this.#left(network)
    } catch (error) {
      this.#retries.failed(network, "remove", error, () => this.#takeAway(network))
    }
  }

  /** Nothing is left of a network that was taken away, or another driver takes care of it. */
  #left(network: string): void {
    this.#leaving.get(network)?.close()
    this.#leaving.delete(network)
    this.#retries.held(network, "remove")
  }
}
