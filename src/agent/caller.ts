import { LariatError } from "../errors.ts"

/** Who asks the agent for something over its control socket. */
export interface Caller {
  /** Whether it has hung up by now: nothing is begun for it any more. */
  isGone(): boolean
  /** Takes back what was done for it, if it turns out to have gone before it had its answer. */
  ifLost(takeBack: () => void): void
}

/** @throws LariatError `busy` where whoever asked for an attach has hung up */
export function refuseGone(
  caller: Caller,
  { containerId, ifname }: { readonly containerId: string; readonly ifname: string },
): void {
  if (!caller.isGone()) return
  throw new LariatError(`Cannot attach ${containerId}/${ifname}: whoever asked has hung up`, {
    code: "busy",
    hint: "try again",
  })
}
