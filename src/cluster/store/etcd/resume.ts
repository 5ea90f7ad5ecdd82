/**
 * Where a watch may go on: behind the last change that it has told of, if this etcd's history still
 * has that change where it was. A store that was put back from a snapshot has another history under
 * the same revisions, and one that was compacted has lost the beginning of it.
 */

import { type Header, type RangeAnswer, rangeAnswer, txnAnswer } from "./answer.ts"
import type { EtcdClient } from "./client.ts"
import { encodePrefix, encodeText } from "./codec.ts"
import { EtcdFailure } from "./failure.ts"

/** How far a watch has come. */
export interface WatchPosition {
  /** The newest member's word of which history it is. */
  readonly header: Header
  /** The last change, or the newest entry of a listing; undefined when that was empty. */
  readonly last:
    | { readonly key: string; readonly revision: number; readonly deleted: boolean }
    | undefined
  /** How many entries there are. */
  readonly count: number
  /** Changes before this revision are known to be gone. */
  readonly compacted: number
}

/** More revisions than a member should read through for one watch: it reads those of all keys. */
const MAX_SPAN = 20_000

/**
 * The revision from which a watch misses nothing and hears nothing twice; undefined: list anew;
 * `restored`: list anew, it is another history.
 *
 * @throws LariatError store-away, permission; EtcdFailure
 */
export async function resumeRevision(
  client: EtcdClient,
  prefix: string,
  position: WatchPosition,
): Promise<number | "restored" | undefined> {
  const { last, header, compacted } = position
  if (last === undefined) return undefined
  const now = await readRange(client, prefix, { key: encodeText(last.key) })
  if (!sameHistory(header, now.header)) return "restored"
  const stands = !last.deleted && now.entries[0]?.revision === last.revision
  if (!stands) {
    const known = await happened(client, prefix, last)
    if (known !== true) return known === false ? "restored" : undefined
  }
  const tooFar = now.header.revision - last.revision > MAX_SPAN
  if (last.revision + 1 >= compacted && !tooFar) return last.revision + 1
  // Not to be read change by change; often there is none under this prefix.
  if (stands) return await unchangedAt(client, prefix, last.revision, position.count)
  return undefined
}

/** Nothing of these ever goes back within one history. */
function sameHistory(before: Header, now: Header): boolean {
  return (
    before.clusterId === now.clusterId && before.term <= now.term && before.revision <= now.revision
  )
}

/** Whether the history has this very change at its revision; undefined where it is compacted. */
async function happened(
  client: EtcdClient,
  prefix: string,
  last: NonNullable<WatchPosition["last"]>,
): Promise<boolean | undefined> {
  const key = encodeText(last.key)
  const at = (revision: number) => ({ request_range: { key, revision: String(revision) } })
  // A deletion leaves nothing to look at but the entry before it.
  const success = last.deleted ? [at(last.revision), at(last.revision - 1)] : [at(last.revision)]
  try {
    const doing = `watch ${prefix}`
    const { value } = await client.call("/v3/kv/txn", { success }, doing, txnAnswer)
    const [there, before] = value.ranges.map(({ entries }) => entries[0])
    return last.deleted
      ? there === undefined && before !== undefined
      : there?.revision === last.revision
  } catch (error) {
    if (error instanceof EtcdFailure && error.outOfRange) return undefined
    throw error
  }
}

/** The revision behind the present one, if the prefix still holds what it did. */
async function unchangedAt(
  client: EtcdClient,
  prefix: string,
  revision: number,
  count: number,
): Promise<number | undefined> {
  const newer = await readRange(client, prefix, {
    ...encodePrefix(prefix),
    min_mod_revision: String(revision + 1),
    keys_only: true,
    limit: "1",
  })
  // `count` is of the whole range: a deletion shows in it alone.
  if (newer.entries.length > 0 || newer.count !== count) return undefined
  return newer.header.revision + 1
}

async function readRange(client: EtcdClient, prefix: string, body: object): Promise<RangeAnswer> {
  return (await client.call("/v3/kv/range", body, `watch ${prefix}`, rangeAnswer)).value
}
