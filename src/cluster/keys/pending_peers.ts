/** What hosts said that are no peers yet, or no more. */

import type { Acknowledgement } from "./acknowledgement.ts"
import type { Announcement } from "./announcement.ts"
import type { Told } from "./ring_peer.ts"

/** One such host. */
export interface PendingPeer {
  announcement: Told<Announcement> | undefined
  acknowledgement: Told<Acknowledgement> | undefined
  /** Whether its latest announcement did not hold. */
  refused: boolean
}

/** Keeps it for when they become peers. */
export class PendingPeers {
  readonly #all = new Map<string, PendingPeer>()

  /** What a host said; its fields are to be written. */
  of(hostId: string): PendingPeer {
    const known = this.#all.get(hostId)
    if (known !== undefined) return known
    const pendingPeer = { announcement: undefined, acknowledgement: undefined, refused: false }
    this.#all.set(hostId, pendingPeer)
    return pendingPeer
  }

  /** A host is no peer any more. */
  put(hostId: string, pendingPeer: PendingPeer): void {
    this.#all.set(hostId, pendingPeer)
  }

  /** A host becomes a peer, or has no records any more. @returns what it said, if anything */
  take(hostId: string): PendingPeer | undefined {
    const pendingPeer = this.#all.get(hostId)
    this.#all.delete(hostId)
    return pendingPeer
  }

  /** Those that are to be told that no keys were made with them. */
  refused(): string[] {
    return [...this.#all].flatMap(([hostId, { announcement, refused }]) =>
      announcement !== undefined || refused ? [hostId] : [],
    )
  }

  /** Revisions mean something else now. */
  forgetRevisions(): void {
    for (const pendingPeer of this.#all.values()) {
      const { announcement } = pendingPeer
      if (announcement !== undefined) pendingPeer.announcement = { ...announcement, revision: 0 }
    }
  }
}
