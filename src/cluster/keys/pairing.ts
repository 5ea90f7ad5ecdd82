/** Making keys for pairs of generations: one of this host's with one of a peer's. */

import { PairKeys } from "./key_agreement.ts"
import { KeyedPair } from "./keyed_pair.ts"
import type { OwnGenerations } from "./own_generations.ts"
import type { RingPeer } from "./ring_peer.ts"

/** What {@link Pairing} works with. */
export interface PairingOptions {
  /** This host. */
  readonly hostId: string
  /** Its number, 1 to 65535. */
  readonly number: number
  /** Of the cluster's PSK; a copy is kept. */
  readonly ppk: Uint8Array
  readonly own: OwnGenerations
  /** A peer can only get keys from a new own generation. */
  readonly onSpent: () => void
}

/** Makes pairs, and never the keys of one twice. */
export class Pairing {
  readonly #options: PairingOptions
  readonly #ppk: Uint8Array

  constructor(options: PairingOptions) {
    this.#options = options
    this.#ppk = Uint8Array.from(options.ppk)
  }

  /**
   * Makes the pair of the newest generations of both where there is none.
   *
   * @throws PeerRefusedError `public-value`: the peer's gives no secret; it is not tried again
   */
  pair(peer: RingPeer): void {
    const { hostId, number, own, onSpent } = this.#options
    const { newest } = own
    const theirs = peer.newest
    if (theirs === undefined || newest.privateValue === undefined) return
    if (theirs.generation === peer.unusable) return
    if (peer.hasPair(newest.generation, theirs.generation)) return
    if (newest.used.has(peer.hostId)) {
      onSpent()
      return
    }
    peer.unusable = theirs.generation
    const secret = new PairKeys(
      { hostId, number, generation: newest },
      newest.privateValue,
      { hostId: peer.hostId, number: peer.settings.number, generation: theirs },
      this.#ppk,
    )
    peer.unusable = undefined
    const pair = new KeyedPair(newest.generation, theirs.generation, secret)
    peer.addPair(pair)
    this.#setNetworks(peer, pair)
  }

  /** The networks with a peer are others: all its pairs get keys for those that they can. */
  setNetworks(peer: RingPeer): void {
    for (const pair of peer.pairs) this.#setNetworks(peer, pair)
  }

  /** Overwrites what keys were made with. */
  close(): void {
    this.#ppk.fill(0)
  }

  #setNetworks(peer: RingPeer, pair: KeyedPair): void {
    const { own, onSpent } = this.#options
    const complete = pair.setNetworks(peer.settings.networks)
    if (!complete && pair.ownGeneration === own.newest.generation) onSpent()
  }
}
