/** How each peer is reached by ESP in UDP: as this process was told, or as the one before did it. */

import type { StateInfo } from "../../netlink/xfrm/state.ts"

/** ESP in UDP with one peer. */
export interface PeerEncapsulation {
  readonly ourPort: number
  readonly peerPort: number
  /** Where it is seen, instead of the address that it says. */
  readonly peerAddress?: string | undefined
}

export class PeerEncapsulations {
  /** By host; undefined: without. */
  readonly #told = new Map<string, PeerEncapsulation | undefined>()
  /** By reqid: as an earlier process's associations have it. */
  readonly #found = new Map<number, PeerEncapsulation>()

  /** Says how a host is reached; undefined: without UDP. */
  tell(hostId: string, encapsulation: PeerEncapsulation | undefined): void {
    this.#told.set(hostId, encapsulation)
  }

  /** How a host is reached: until it is told, as it was found. */
  of(hostId: string, reqid: number | undefined): PeerEncapsulation | undefined {
    return this.#told.has(hostId) ? this.#told.get(hostId) : this.#found.get(reqid ?? 0)
  }

  /**
   * Takes in what an earlier process made.
   *
   * @param states by reqid
   * @param own addresses of this host
   * @param sentOn the SPI that is sent on, by reqid: of several that one tells
   */
  find(
    states: ReadonlyMap<number, readonly StateInfo[]>,
    own: readonly string[],
    sentOn: (reqid: number) => number | undefined,
  ): void {
    for (const [reqid, all] of states) {
      const outward = all.filter(({ source }) => own.includes(source))
      const state = outward.find(({ spi }) => spi === sentOn(reqid)) ?? outward[0]
      if (state?.encapsulation === undefined) continue
      const { sourcePort: ourPort, destinationPort: peerPort } = state.encapsulation
      this.#found.set(reqid, { ourPort, peerPort, peerAddress: state.destination })
    }
  }

  /** The host is gone. */
  forget(hostId: string, reqid: number | undefined): void {
    this.#told.delete(hostId)
    this.#found.delete(reqid ?? 0)
  }

  clear(): void {
    this.#told.clear()
    this.#found.clear()
  }
}
