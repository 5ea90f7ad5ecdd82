/** The record under `blocks/<network>/<block>`: who holds a block of addresses. */

import * as z from "zod/mini"
import { HOST_ID } from "./envelope.ts"
import { bodyReader, text } from "./record_body.ts"

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

const hostId = z.optional(text(HOST_ID))

/** Reads a body that was opened. @throws PeerRefusedError `claim` saying what is wrong */
export const parseBlockClaim: (body: unknown) => BlockClaim = bodyReader(
  "claim",
  z.object({ state: z.enum(["held", "released"]), from: hostId, to: hostId }),
)
