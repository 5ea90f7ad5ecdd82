/** What each peer of a network comes to: worked out once, and anew when what it rests on changed. */

import type { OverlayPeer } from "./driver.ts"

/** What a peer came to. */
export interface PeerPlan {
  /** Whether another peer has what this one needs: it is tried again when one changes. */
  readonly waits: boolean
}

/** A peer that was put, and what came of it. */
export interface Planned<P extends PeerPlan> {
  readonly peer: OverlayPeer
  /** The peer as text, to see whether anything of it changed. */
  readonly text: string
  readonly plan: P
}

/** What {@link PeerPlans} works with. */
export interface PeerPlanner<P extends PeerPlan> {
  plan(peer: OverlayPeer): P
  /** Says what is wanted of the kernel for a peer from now on. */
  desired(hostId: string, plan: P): void
}

export class PeerPlans<P extends PeerPlan> {
  readonly #planner: PeerPlanner<P>
  readonly #peers = new Map<string, Planned<P>>()
  readonly #waiting = new Set<string>()
  #context = ""

  constructor(planner: PeerPlanner<P>) {
    this.#planner = planner
  }

  all(): Planned<P>[] {
    return [...this.#peers.values()]
  }

  has(hostId: string): boolean {
    return this.#peers.has(hostId)
  }

  /** Takes peers in, those of them that are new or changed. */
  put(peers: readonly OverlayPeer[]): void {
    for (const peer of peers) {
      const text = JSON.stringify(peer)
      if (this.#peers.get(peer.hostId)?.text !== text) this.#plan(peer, text)
    }
    this.#retry()
  }

  /**
   * @param giveUp says that nothing is wanted for the peer any more, before others are tried again
   * @returns whether it was there
   */
  remove(hostId: string, giveUp: () => void): boolean {
    if (!this.#peers.delete(hostId)) return false
    giveUp()
    this.#retry()
    return true
  }

  /** Plans anew for every peer, where what all plans rest on is not what it was. */
  restOn(...context: readonly unknown[]): void {
    const text = JSON.stringify(context)
    if (text === this.#context) return
    this.#context = text
    for (const known of this.all()) this.#plan(known.peer, known.text)
    this.#retry()
  }

  clear(): void {
    this.#peers.clear()
  }

  /** What one peer had, another may have now. */
  #retry(): void {
    for (const hostId of [...this.#waiting]) {
      const known = this.#peers.get(hostId)
      if (known === undefined) this.#waiting.delete(hostId)
      else this.#plan(known.peer, known.text)
    }
  }

  #plan(peer: OverlayPeer, text: string): void {
    const { hostId } = peer
    const plan = this.#planner.plan(peer)
    this.#peers.set(hostId, { peer, text, plan })
    if (plan.waits) this.#waiting.add(hostId)
    else this.#waiting.delete(hostId)
    this.#planner.desired(hostId, plan)
  }
}
