/** What stands at a block's key in the store. */

import { type BlockClaim, parseBlockClaim } from "../records/block_claim.ts"
import { peek } from "../records/envelope.ts"
import type { Entry } from "../store/store.ts"

/** A claim as it stands there: unverified, and good for nothing but not getting in its way. */
export interface StandingClaim {
  /** Of the entry; 0 where there is none. */
  readonly revision: number
  /** Who holds the block by it, or is to hold it; undefined for a block that is free by it. */
  readonly holder: string | undefined
  /** Who wrote it. */
  readonly writer: string | undefined
  readonly claim: BlockClaim | undefined
}

/** Reads an entry. What is no claim at all leaves the block free. */
export function standingClaim(entry: Entry | undefined): StandingClaim {
  const revision = entry?.revision ?? 0
  const free = { revision, holder: undefined, writer: undefined, claim: undefined }
  const envelope = entry === undefined ? undefined : peek(entry.value)
  if (envelope === undefined) return free
  try {
    const claim = parseBlockClaim(envelope.body)
    const { hostId: writer } = envelope
    return { revision, holder: claim.state === "held" ? writer : claim.to, writer, claim }
  } catch {
    return free
  }
}
