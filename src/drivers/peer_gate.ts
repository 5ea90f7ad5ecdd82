/** What a driver tells of its network before it speaks to peers: what comes from them is let in by it. */

/** What comes from a peer; addresses and prefixes are canonical. */
export interface PeerSources {
  /** Its addresses outside. */
  readonly hosts: readonly string[]
  /**
   * Whence packets of its prefixes come: its address outside, or the name of a link. None where the
   * driver's own keys say so, or the kernel's policies.
   */
  readonly sources: readonly ({ readonly prefix: string } & (
    | { readonly outer: string }
    | { readonly link: string }
  ))[]
}

export interface PeerGate {
  /** This host's own blocks of the network. */
  own(blocks: readonly string[]): void
  /** What comes from a peer from now on; undefined: nothing. */
  desired(hostId: string, peer: PeerSources | undefined): void
  /** Every peer was named. */
  complete(): void
  /** Nothing of the network is left. */
  remove(): void
  /** What was said is to hold when this returns. Does not throw. */
  settle(): void
}

/** Lets everything in. */
export const OPEN_GATE: PeerGate = {
  own: () => undefined,
  desired: () => undefined,
  complete: () => undefined,
  remove: () => undefined,
  settle: () => undefined,
}
