/** Everything under a prefix of etcd as it was at one revision, read in pages. */

import { LariatError } from "../../../errors.ts"
import { type Entry, TOO_LONG } from "../store.ts"
import type { EtcdClient } from "./client.ts"
import { isTooLarge } from "./exchange.ts"
import { isOutOfRange } from "./failure.ts"
import { encodePrefix, type Header, rangeAnswer } from "./messages.ts"

/** Entries of a page: about 1 MB of records such as hosts write. */
const PAGE_ENTRIES = 1000
/** What a page should have at most, characters of its values: longer ones may be anybody's. */
const PAGE_CHARACTERS = 4 * 1024 * 1024
/** How much smaller a page is asked for that was too large, and how much larger at most the next. */
const STEP = 8
/** More under one prefix is not what hosts write. */
const MAX_ENTRIES = 1_000_000
/** A listing begins anew when its revision is compacted between two pages. */
const MAX_ATTEMPTS = 3

/** A listing, and which history it is of. */
export interface StoredListing {
  readonly entries: readonly Entry[]
  /** Its revision is that of the listing. */
  readonly header: Header
}

/**
 * Reads all entries, in the order of their keys.
 *
 * @throws LariatError store-away, permission, io; busy when etcd compacts faster than it can be read
 */
export async function listPrefix(
  client: EtcdClient,
  prefix: string,
  pageEntries = PAGE_ENTRIES,
): Promise<StoredListing> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    try {
      return await listOnce(client, prefix, pageEntries)
    } catch (error) {
      if (!isOutOfRange(error)) throw error
    }
  }
  throw new LariatError(`Cannot list ${prefix}: etcd compacts its history faster than it is read`, {
    code: "busy",
    hint: "compact etcd less often: minutes, not seconds",
  })
}

async function listOnce(
  client: EtcdClient,
  prefix: string,
  pageEntries: number,
): Promise<StoredListing> {
  const entries: Entry[] = []
  const range = encodePrefix(prefix)
  let limit = pageEntries
  /** The next entry is more than an answer may be: its key alone is asked for. */
  let isHuge = false
  let header: Header | undefined
  let key = range.key
  for (;;) {
    const revision = String(header?.revision ?? 0)
    const body = { ...range, key, limit: String(limit), revision, keys_only: isHuge }
    try {
      const { value: page } = await client.call("/v3/kv/range", body, `list ${prefix}`, rangeAnswer)
      for (const entry of page.entries) {
        entries.push(isHuge ? { ...entry, value: TOO_LONG } : entry)
      }
      header ??= page.header
      if (page.nextKey === undefined) return { entries, header }
      key = page.nextKey
      isHuge = false
      const fitting = Math.floor((limit * PAGE_CHARACTERS) / Math.max(1, page.characters))
      limit = Math.max(1, Math.min(fitting, limit * STEP, pageEntries))
    } catch (error) {
      if (!isTooLarge(error) || isHuge) throw error
      isHuge = limit === 1
      limit = Math.ceil(limit / STEP)
    }
    if (entries.length > MAX_ENTRIES) {
      throw new LariatError(`Cannot list ${prefix}: it has more than ${MAX_ENTRIES} entries`, {
        code: "io",
      })
    }
  }
}
