/** Two hosts that both say to hold a block: which of them keeps it. */

import type { BlockClaim } from "../records/block_claim.ts"

/** Another host's claim for a block that this host holds too. */
export interface RivalClaim {
  readonly hostId: string
  readonly claim: BlockClaim
}

/**
 * How long a claim has to stand over that of a host that is there until it is taken for agreed,
 * milliseconds. Hosts go over their blocks every 30 seconds, and hear at once when another one writes
 * over theirs.
 */
export const CONSENT_MS = 120_000

/**
 * Whether this host keeps a block, in which containers of its own have addresses, against another
 * host's claim. Claims are compare-and-swaps, so two hosts have one block only after the store was
 * put back from a snapshot, after one was gone for so long that its blocks were given away, or by
 * malice. What counts is who acquired the block in the store as it is now, for that is all that can
 * be verified: the past that a snapshot took away is each host's own tale. Both sides come to the
 * same answer, each from its own point of view:
 *
 * - A claim that this host saw standing, in a store that was not put back since, cannot have been
 *   overwritten honestly by one that is older: it keeps the block, whatever the other says.
 * - What was taken over because this host was gone for too long is the other's.
 * - So is what the other saw standing, and this host did not.
 * - A host that does not say that it has containers there gives way to one that has.
 * - Where both have, and neither saw its claim stand, the one whose id is lower keeps it: that is
 *   the same on all hosts, and nobody can choose another id.
 *
 * A host that comes back thus asks by writing over the other's claim once, and the other answers. No
 * date or age is in it: a host that lies wins what it could have had of a host that has just begun,
 * by saying that it took the block over, and nothing of one that watches.
 *
 * Where both saw theirs stand one of them lies, or somebody deletes claims: neither yields.
 *
 * @param confirmed whether this host saw its own claim stand, and nothing made it doubtful since
 */
export function keepsBlock(
  self: string,
  rival: RivalClaim,
  { confirmed }: { readonly confirmed: boolean },
): boolean {
  if (confirmed) return true
  if (rival.claim.from === self || rival.claim.stood === true) return false
  return rival.claim.used !== true || self < rival.hostId
}
