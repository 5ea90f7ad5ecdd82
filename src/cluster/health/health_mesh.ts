/** The health of all peers, a round of probes at a time. Sends nothing itself. */

import type { PeerFacts } from "./down_reason.ts"
import { type HealthReport, PeerHealth, type ProbeOutcome } from "./peer_health.ts"
import { RepairLimit, type WantedRepair } from "./repair_limit.ts"

/** Where to probe a peer: its own overlay address, from this host's. */
export interface HealthTarget {
  readonly destination: string
  readonly source: string | undefined
  /** The largest IP packet of the network, bytes. */
  readonly fullBytes: number
}

/** One probe of a round. */
export interface MeshProbe {
  readonly peer: string
  readonly destination: string
  readonly source: string | undefined
  readonly packetBytes: number
}

/** How it went. */
export type MeshResult = Omit<ProbeOutcome, "bytes">

/** A peer whose state, reason or largest size changed. */
export interface HealthChange {
  readonly peer: string
  readonly before: HealthReport
  readonly after: HealthReport
}

/** What a round came to. */
export interface MeshRound {
  readonly changes: readonly HealthChange[]
  /** To be made now; they are counted as made. */
  readonly repairs: readonly WantedRepair[]
}

interface Entry {
  target: HealthTarget
  readonly health: PeerHealth
}

/** Peers are named by any text: a host id, or one with a network's name where it has several. */
export class HealthMesh {
  readonly #peers = new Map<string, Entry>()
  readonly #limit: RepairLimit

  /** @param random 0 to 1, as Math.random */
  constructor(random: () => number) {
    this.#limit = new RepairLimit(random)
  }

  /** Takes a peer in, or what changed of it. */
  setPeer(peer: string, target: HealthTarget, nowMs: number): void {
    const entry = this.#peers.get(peer)
    if (entry === undefined) {
      const health = new PeerHealth(target.fullBytes, nowMs)
      this.#peers.set(peer, { target, health })
      return
    }
    entry.target = target
    entry.health.setFullBytes(target.fullBytes)
  }

  removePeer(peer: string): void {
    this.#peers.delete(peer)
    this.#limit.forget(peer)
  }

  /** The probes of the next round: two for each peer, up to nine more for one that is degraded. */
  probes(): MeshProbe[] {
    const probes: MeshProbe[] = []
    for (const [peer, { target, health }] of this.#peers) {
      const { destination, source } = target
      for (const packetBytes of health.sizes()) {
        probes.push({ peer, destination, source, packetBytes })
      }
    }
    return probes
  }

  /**
   * Takes in how a round went.
   *
   * @param results one for each of `probes`, in their order
   * @param facts what else is known of a peer
   */
  observe(
    probes: readonly MeshProbe[],
    results: readonly MeshResult[],
    facts: (peer: string) => PeerFacts,
    nowMs: number,
  ): MeshRound {
    const outcomes = new Map<string, ProbeOutcome[]>()
    probes.forEach(({ peer, packetBytes }, index) => {
      const result = results[index]
      if (result === undefined) return
      const list = outcomes.get(peer) ?? []
      list.push({ ...result, bytes: packetBytes })
      outcomes.set(peer, list)
    })
    const changes: HealthChange[] = []
    const wanted: WantedRepair[] = []
    for (const [peer, list] of outcomes) {
      // Gone while its probes were under way.
      const health = this.#peers.get(peer)?.health
      if (health === undefined) continue
      const before = health.report()
      const changed = health.observe(list, facts(peer), nowMs)
      const after = health.report()
      if (changed) changes.push({ peer, before, after })
      if (after.repair === "none") this.#limit.rest(peer, nowMs)
      else wanted.push({ peer, repair: after.repair })
    }
    return { changes, repairs: this.#limit.askAll(wanted, nowMs) }
  }

  /** What is known of a peer; undefined of one that was never set. */
  report(peer: string): HealthReport | undefined {
    return this.#peers.get(peer)?.health.report()
  }
}
