import { standingClaim } from "../../src/cluster/blocks/standing_claim.ts"
import type { Keyspace } from "../../src/cluster/records/keyspace.ts"
import type { Store } from "../../src/cluster/store/store.ts"

/** The blocks of a network that the store says are a host's. */
export async function storedBlocks(
  store: Store,
  keys: Keyspace,
  hostId: string,
  network = "n",
): Promise<string[]> {
  const { entries } = await store.list(keys.blocks(network))
  return entries.flatMap((entry) => {
    const parsed = keys.parse(entry.key)
    const own = parsed?.kind === "block" && standingClaim(entry).holder === hostId
    return own ? [parsed.block] : []
  })
}
