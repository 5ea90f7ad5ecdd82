/** What the kernel counted of one peer's associations. */

import type { StateInfo } from "../../netlink/xfrm/state.ts"

/** What is counted of an association, and which way it goes. */
export type CountedState = Pick<StateInfo, "destination" | "usage" | "replayed" | "unauthentic">

/** What passed, by direction. */
export interface PeerTraffic {
  readonly txBytes: number
  readonly rxBytes: number
  readonly txPackets: number
  readonly rxPackets: number
}

/** @param remote the peer's address outside: what goes there was sent */
export function trafficOf(
  states: readonly CountedState[],
  remote: string | undefined,
): PeerTraffic {
  const sum = (sent: boolean, what: "bytes" | "packets") =>
    states
      .filter(({ destination }) => (destination === remote) === sent)
      .reduce((total, { usage }) => total + Number(usage[what]), 0)
  return {
    txBytes: sum(true, "bytes"),
    rxBytes: sum(false, "bytes"),
    txPackets: sum(true, "packets"),
    rxPackets: sum(false, "packets"),
  }
}

/** What went wrong, in packets, and whether there is an association for each direction. */
export interface PeerFaults {
  readonly saPair: boolean
  readonly replayed: number
  readonly unauthentic: number
}

/** @param ends addresses outside; undefined where there is no way to the peer */
export function faultsOf(
  states: readonly CountedState[],
  ends: { readonly local: string; readonly remote: string } | undefined,
): PeerFaults {
  const to = (address: string | undefined) =>
    states.some(({ destination }) => destination === address)
  const count = (what: "replayed" | "unauthentic") =>
    states.reduce((total, state) => total + state[what], 0)
  return {
    saPair: to(ends?.remote) && to(ends?.local),
    replayed: count("replayed"),
    unauthentic: count("unauthentic"),
  }
}
