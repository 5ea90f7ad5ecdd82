/** The record under `blocks/<network>/<block>`: who holds a block of addresses. */

import { mapOf, refuseBody } from "./host_record.ts"

/** A host's word on a block. A release is signed too: nobody can give up what is another's. */
export interface BlockClaim {
  readonly state: "held" | "released"
}

/** Reads a body that was opened. @throws PeerRefusedError `body` */
export function parseBlockClaim(body: unknown): BlockClaim {
  const { state } = mapOf(body, "claim")
  if (state === "held" || state === "released") return { state }
  throw refuseBody("state is neither held nor released")
}
