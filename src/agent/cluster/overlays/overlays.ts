import type { Network } from "../../../config/network.ts"
import type { Driver, OverlayPeer, OverlaySelf, PeerLink } from "../../../drivers/driver.ts"
import { IpsecDriver } from "../../../drivers/ipsec/ipsec_driver.ts"
import { LariatError, messageOf } from "../../../errors.ts"
import type { Health } from "../../health.ts"
import { type Carried, fixedChanges } from "./driver_change.ts"

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

/**
 * The drivers of this host's networks. A driver that fails does not keep the others, or containers
 * of this host, from working: it becomes a problem of `status` and is tried again.
 */
export class Overlays {
  readonly #health: Health
  readonly #all = new Map<string, Overlay>()
  readonly #prepared = new Map<string, string>()
  /** By network, then host: what each driver is to know. */
  readonly #peers = new Map<string, Map<string, OverlayPeer>>()
  /** Networks whose peers are all known: only then what is left of others may be taken away. */
  readonly #complete = new Set<string>()

  constructor(health: Health) {
    this.#health = health
  }

  /** The driver of a network. */
  get(network: string): Overlay | undefined {
    return this.#all.get(network)
  }

  all(): readonly Overlay[] {
    return [...this.#all.values()]
  }

  /** Takes a network's driver in. */
  add(overlay: Overlay): void {
    this.#all.set(overlay.network, overlay)
    this.#peers.set(overlay.network, new Map())
  }

  /**
   * Takes in that a network's configuration may have changed; what a running driver cannot change
   * becomes a problem of `status`.
   *
   * @returns false for a network that has no driver yet
   */
  adjust(network: Pick<Network, "name"> & Carried): boolean {
    const { name, encapsulation } = network
    const overlay = this.#all.get(name)
    if (overlay === undefined) return false
    const waiting = fixedChanges(overlay.configured, network)
    if (waiting.length === 0) this.#health.clear(`restart/${name}`)
    else {
      this.#health.raise(`restart/${name}`, {
        severity: "warning",
        what: `network ${name} goes on as it was: a running agent cannot change ${waiting.join(", ")}`,
        hint: "restart the agent, or put the file back",
      })
    }
    const { driver } = overlay
    try {
      if (driver instanceof IpsecDriver) driver.setUdp(encapsulation.udp !== "none")
    } catch (error) {
      this.#health.raise(`overlay/${name}`, problem(name, error))
    }
    return true
  }

  /** Takes a network away: nothing of it stays in the kernel. */
  remove(network: string): void {
    const overlay = this.#all.get(network)
    if (overlay === undefined) return
    this.#all.delete(network)
    this.#prepared.delete(network)
    this.#peers.delete(network)
    this.#complete.delete(network)
    this.#health.clear(`restart/${network}`)
    try {
      overlay.driver.remove()
      overlay.driver.close()
    } catch (error) {
      this.#health.raise(`overlay/${network}`, problem(network, error))
    }
  }

  /** Says what this host's part is; the kernel is asked only when it changed. */
  prepare(network: string, self: OverlaySelf): void {
    const overlay = this.#all.get(network)
    const known = JSON.stringify(self)
    if (overlay === undefined || this.#prepared.get(network) === known) return
    this.#try(network, () => {
      overlay.driver.prepare(self)
      this.#prepared.set(network, known)
      for (const peer of this.#peers.get(network)?.values() ?? []) overlay.driver.putPeer(peer)
    })
  }

  /** Whether a network's driver is ready for peers. */
  isPrepared(network: string): boolean {
    return this.#prepared.has(network)
  }

  /** Takes a peer in, or what changed of it. */
  putPeer(network: string, peer: OverlayPeer): void {
    this.#peers.get(network)?.set(peer.hostId, peer)
    const overlay = this.#all.get(network)
    if (overlay === undefined || !this.isPrepared(network)) return
    this.#try(network, () => overlay.driver.putPeer(peer))
  }

  removePeer(network: string, hostId: string): void {
    if (this.#peers.get(network)?.delete(hostId) !== true) return
    this.#try(network, () => this.#all.get(network)?.driver.removePeer(hostId))
  }

  /** All peers of a network have been named: what an earlier run left of others may go. */
  completed(network: string): void {
    this.#complete.add(network)
    this.repair(network)
  }

  /** Compares drivers with the kernel and mends what differs; of one network or of all. */
  repair(network?: string): void {
    for (const one of network === undefined ? this.#all.keys() : [network]) {
      const driver = this.#all.get(one)?.driver
      if (driver === undefined || !this.isPrepared(one) || !this.#complete.has(one)) continue
      this.#try(one, () => {
        for (const what of driver.repair()) this.#health.repaired(`network ${one}: ${what}`)
      })
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
    for (const { driver } of this.#all.values()) driver.close()
  }

  #try(network: string, change: () => void): void {
    try {
      change()
      this.#health.clear(`overlay/${network}`)
    } catch (error) {
      this.#health.raise(`overlay/${network}`, problem(network, error))
    }
  }
}

function problem(network: string, error: unknown) {
  return {
    severity: "error",
    what: `network ${network} does not reach other hosts as it should: ${messageOf(error)}`,
    hint: error instanceof LariatError ? error.hint : undefined,
  } as const
}
