/** The record under `blocks/<network>/<block>`: who holds a block of addresses. */

import { BodyReader } from "./record_body.ts"

/**
 * A host's word on a block. A release is signed as a claim is: nobody can give up what is another
 * host's, and a key that is gone from the store says nothing.
 */
export interface BlockClaim {
  readonly state: "held" | "released"
  /** Held: who had it before, and was gone for longer than a host may be, or gave it up for this one. */
  readonly from?: string | undefined
  /** Released: the host that claims it too, and keeps it. */
  readonly to?: string | undefined
}

/** Why a claim is not simply one of a free block. */
export type ClaimReason = Omit<BlockClaim, "state">

const STATE = /^(held|released)$/
const HOST_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Reads a body that was opened. @throws PeerRefusedError `claim` saying what is wrong */
export function parseBlockClaim(body: unknown): BlockClaim {
  const reader = new BodyReader("claim", body)
  const state = reader.text("state", STATE) === "held" ? "held" : "released"
  const from = reader.has("from") ? reader.text("from", HOST_ID) : undefined
  const to = reader.has("to") ? reader.text("to", HOST_ID) : undefined
  return {
    state,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  }
}
