/** What the key ring says is to be done. */

import type { Acknowledgement } from "./acknowledgement.ts"
import type { Announcement } from "./announcement.ts"
import type { KeyedNetwork } from "./key_agreement.ts"
import type { SaPair } from "./keyed_pair.ts"

/** The associations with one host on one network. */
export interface NetworkSaPairs extends KeyedNetwork {
  /** Newest first. The arrays of keys are overwritten when an association goes: copy to keep. */
  readonly saPairs: readonly SaPair[]
}

/**
 * What becomes of associations that a former process made and this one has no keys of:
 *
 * - `use`: they stay, and are sent on until one that is listed says `send`
 * - `receive`: the inbound ones stay; nothing is sent on them
 * - `drop`: they go
 *
 * But for `use`, nothing at all is sent where none that is listed says `send`.
 */
export type OtherSaPairs = "use" | "receive" | "drop"

/** What is to be in the kernel for one host. */
export interface PeerSaPairs {
  readonly hostId: string
  readonly networks: readonly NetworkSaPairs[]
  /** What becomes of the associations that are in the kernel and not listed. */
  readonly others: OtherSaPairs
}

/** What is to be done now: first the kernel, then what is published and acknowledged. */
export interface RingPlan {
  /** Hosts whose associations changed since the last plan. */
  readonly changed: readonly PeerSaPairs[]
  /**
   * To be written to `keys/<own id>`, best in one commit with the acknowledgement, after it was
   * stored on this host: a next process needs it, see `KeyRingOptions.former`. Said in each plan
   * until the ring hears that it was written.
   */
  readonly publish: Announcement | undefined
  /**
   * To be written to `acks/<own id>`, only once `changed` is in the kernel. Said in each plan until
   * the ring hears that it was written.
   */
  readonly acknowledge: Acknowledgement | undefined
  /** The store was put back unnoticed: call `restored`, then tell all of `keys/` and `acks/` again. */
  readonly relist: boolean
  /** When a plan can say something new without a new fact, by the clock; undefined: never. */
  readonly wakeAt: number | undefined
  /** Why new keys could not be made, else undefined; the old ones go on. */
  readonly problem: unknown
}

/** How a rotation stands. */
export interface RotationState {
  /** The newest own generation. */
  readonly generation: number
  /** All that are announced, oldest first. */
  readonly live: readonly number[]
  /** True until one is left and no other is wanted. */
  readonly rotating: boolean
  /** Live hosts that still have to act on the newest generation. */
  readonly waitingFor: readonly string[]
}
