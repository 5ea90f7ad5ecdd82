/** Two hosts that both say to hold a block: which of them keeps it. */

import type { BlockClaim } from "./block_claim.ts"

/** Another host's claim for a block that this host holds too. */
export interface RivalClaim {
  readonly hostId: string
  readonly claim: BlockClaim
}

/**
 * Whether this host keeps a block, in which containers of its own have addresses, against another
 * host's claim. Claims are compare-and-swaps, so two hosts have one block only after the store was
 * put back from a snapshot, after one was gone for so long that its blocks were given away, or by
 * malice. Both sides come to the same answer, each from its own point of view:
 *
 * - A claim that this host saw standing, in a store that was not put back since, cannot have been
 *   overwritten honestly: it keeps the block, whatever the other says.
 * - What was taken over because this host was gone for too long is the other's.
 * - A host that does not say that it has containers there gives way to one that has.
 * - Where both have, the one whose id is lower keeps it: that is the same on all hosts, and nobody
 *   can choose another id.
 *
 * @param confirmed whether this host saw its own claim stand, and nothing made it doubtful since
 */
export function keepsBlock(
  self: string,
  rival: RivalClaim,
  { confirmed }: { readonly confirmed: boolean },
): boolean {
  if (confirmed) return true
  if (rival.claim.from === self) return false
  return rival.claim.used !== true || self < rival.hostId
}
