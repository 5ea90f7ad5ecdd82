/** The associations of one own generation with one of a peer's. */

import type { Cipher } from "../../core/encapsulation.ts"
import { SPI_GENERATIONS } from "../records/spi.ts"
import type { KeyedNetwork, PairKeys, SaPairKey } from "./key_agreement.ts"

/** One association of two hosts, both directions, as the ipsec driver takes it. */
export interface SaPair {
  readonly inbound: SaPairKey
  readonly outbound: SaPairKey
  /** Whether to send on it; of all of a peer and network at most one. */
  readonly send: boolean
}

interface Keys {
  readonly cipher: Cipher
  readonly inbound: SaPairKey
  readonly outbound: SaPairKey
}

/**
 * A pair of generations and its keys per network. A key is given once: a network that was taken away
 * and comes back, or comes with another cipher, gets none from this pair, since the kernel would
 * count packets from one again under a key that has seen them.
 */
export class KeyedPair {
  readonly ownGeneration: number
  readonly peerGeneration: number
  /** The peer said that its side stands: it may be sent on. Never taken back. */
  confirmed = false
  /** When the associations go, by the clock; undefined while both generations are in force. */
  dropAt: number | undefined = undefined
  readonly #secret: PairKeys
  readonly #keys = new Map<number, Keys>()
  readonly #used = new Set<number>()

  constructor(ownGeneration: number, peerGeneration: number, secret: PairKeys) {
    this.ownGeneration = ownGeneration
    this.peerGeneration = peerGeneration
    this.#secret = secret
  }

  /**
   * Makes keys for the networks and drops those of others.
   *
   * @returns false where one of them can only get keys from a new pair
   */
  setNetworks(networks: readonly KeyedNetwork[]): boolean {
    for (const [number, keys] of this.#keys) {
      const still = networks.some((each) => each.number === number && each.cipher === keys.cipher)
      if (still) continue
      wipe(keys)
      this.#keys.delete(number)
      this.#used.add(number)
    }
    for (const network of networks) {
      const { number, cipher } = network
      if (this.#keys.has(number) || this.#used.has(number)) continue
      this.#keys.set(number, { cipher, ...this.#secret.associationKeys(network) })
    }
    return networks.every(({ number }) => this.#keys.has(number))
  }

  /** The association on a network; undefined where this pair has no keys for it. */
  saPair(network: number, send: boolean): SaPair | undefined {
    const keys = this.#keys.get(network)
    return keys && { inbound: keys.inbound, outbound: keys.outbound, send }
  }

  /** Whether the SPIs of two pairs of the same hosts are the same. */
  collides(ownGeneration: number, peerGeneration: number): boolean {
    return (
      (this.ownGeneration - ownGeneration) % SPI_GENERATIONS === 0 &&
      (this.peerGeneration - peerGeneration) % SPI_GENERATIONS === 0
    )
  }

  /** Overwrites the secret and every key. */
  wipe(): void {
    for (const keys of this.#keys.values()) wipe(keys)
    this.#keys.clear()
    this.#secret.wipe()
  }
}

function wipe(keys: Keys): void {
  keys.inbound.key.fill(0)
  keys.outbound.key.fill(0)
}
