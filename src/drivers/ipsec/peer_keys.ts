/** Which keys there are with a peer, and what they mean for the kernel. */

import type { StateId } from "../../netlink/xfrm/state.ts"
import type { SaPair, TunnelEndpoints } from "./sa_pairs.ts"

/** What is known of the keys with one peer on one network. */
export interface PeerKeys {
  /** Newest first. */
  readonly saPairs: readonly SaPair[]
  /**
   * What becomes of associations in the kernel that are not named, an earlier process's: `use`: they
   * stay, and are sent on until one that is named says `send`; `receive`: they stay and are not sent
   * on; `drop`: they go.
   */
  readonly others: "use" | "receive" | "drop"
}

/** Of a peer that nothing was said of yet: what an earlier process agreed on goes on. */
export const NOT_TOLD: PeerKeys = { saPairs: [], others: "use" }
/** Of a peer that moved: it needs new ones. */
export const NO_KEYS: PeerKeys = { saPairs: [], others: "drop" }

/**
 * The SPI that is sent on now; undefined: nothing may be sent.
 *
 * @param found what an earlier process sent on
 */
export function sentOn(
  { saPairs, others }: PeerKeys,
  found: number | undefined,
): number | undefined {
  const sent = saPairs.find(({ send }) => send)
  if (sent !== undefined) return sent.outbound.spi
  return others === "use" ? found : undefined
}

/** The associations that keys name, whether they are there or not. */
export function namedStates(
  { local, remote }: Pick<TunnelEndpoints, "local" | "remote">,
  { saPairs }: PeerKeys,
): StateId[] {
  return saPairs.flatMap(({ inbound, outbound }) => [
    { destination: local, spi: inbound.spi },
    { destination: remote, spi: outbound.spi },
  ])
}
