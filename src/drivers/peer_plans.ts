/** What each peer of a network comes to: worked out once, and anew when what it rests on changed. */

import type { OverlayPeer } from "./driver.ts"
import type { OverlayRoute } from "./overlay_routes.ts"
import type { PeerSources } from "./peer_gate.ts"

/** What a peer came to; without routes it cannot be spoken to, and `reason` says why. */
export interface PeerPlan {
  /** Its address outside, as far as one can be used. */
  readonly remote: string | undefined
  /** Why it has no routes, or not all. */
  readonly reason: string | undefined
  readonly routes: readonly OverlayRoute[]
  /** Whence packets of its prefixes come, where neither keys nor policies tell. */
  readonly sources?: PeerSources["sources"]
  /** Whether another peer has what this one needs: it is tried again when one changes. */
  readonly waits?: boolean
}

/** A peer that is known, and what came of it. */
export interface Planned<P extends PeerPlan> {
  readonly peer: OverlayPeer
  readonly plan: P
}

/** What {@link PeerPlans} works with. */
export interface PeerPlanner<P extends PeerPlan> {
  /** These are about to be planned. */
  meet?(peers: readonly OverlayPeer[]): void
  plan(peer: OverlayPeer): P
  /** Says what is wanted of the kernel for a peer from now on; undefined: nothing. */
  desired(hostId: string, plan: P | undefined, before: P | undefined): void
}

export class PeerPlans<P extends PeerPlan> {
  readonly #planner: PeerPlanner<P>
  readonly #all = new Map<string, Planned<P>>()
  readonly #waiting = new Set<string>()
  #context = ""

  constructor(planner: PeerPlanner<P>) {
    this.#planner = planner
  }

  all(): Planned<P>[] {
    return [...this.#all.values()]
  }

  get(hostId: string): Planned<P> | undefined {
    return this.#all.get(hostId)
  }

  /**
   * Takes in which peers there are. Those that are another object than before are looked at, those
   * of them that differ are planned: of a thousand peers one change costs a thousand comparisons.
   */
  set(peers: ReadonlyMap<string, OverlayPeer>): void {
    for (const [hostId, { plan }] of this.#all) {
      if (peers.has(hostId)) continue
      this.#all.delete(hostId)
      this.#waiting.delete(hostId)
      this.#planner.desired(hostId, undefined, plan)
    }
    const changed: OverlayPeer[] = []
    for (const [hostId, peer] of peers) {
      const known = this.#all.get(hostId)
      if (known?.peer === peer) continue
      if (known === undefined || JSON.stringify(known.peer) !== JSON.stringify(peer)) {
        changed.push(peer)
      } else this.#all.set(hostId, { ...known, peer })
    }
    this.#plan(changed)
    // What one peer had, another may have now.
    this.#plan([...this.#waiting].flatMap((hostId) => this.#all.get(hostId)?.peer ?? []))
  }

  /** Plans anew for one peer. */
  replan(hostId: string): void {
    const known = this.#all.get(hostId)
    if (known !== undefined) this.#plan([known.peer])
  }

  /** Plans anew for every peer, where what all plans rest on is not what it was. */
  restOn(...context: readonly unknown[]): void {
    const text = JSON.stringify(context)
    if (text === this.#context) return
    this.#context = text
    this.#plan(this.all().map(({ peer }) => peer))
  }

  #plan(peers: readonly OverlayPeer[]): void {
    if (peers.length > 0) this.#planner.meet?.(peers)
    for (const peer of peers) {
      const { hostId } = peer
      const before = this.#all.get(hostId)?.plan
      const plan = this.#planner.plan(peer)
      this.#all.set(hostId, { peer, plan })
      if (plan.waits === true) this.#waiting.add(hostId)
      else this.#waiting.delete(hostId)
      this.#planner.desired(hostId, plan, before)
    }
  }
}
