/** Everything under a prefix of etcd as it was at one revision, read in pages. */

import { LariatError } from "../../../errors.ts"
import type { Entry } from "../store.ts"
import { type Header, type RangeAnswer, rangeAnswer, type StoredEntry } from "./answer.ts"
import type { EtcdClient } from "./client.ts"
import { encodePrefix } from "./codec.ts"
import { TooLargeFailure } from "./exchange.ts"
import { EtcdFailure } from "./failure.ts"

/** Entries of a page: about 1 MB of records such as hosts write. */
const PAGE_ENTRIES = 1000
/** More under one prefix is not what hosts write. */
const MAX_ENTRIES = 1_000_000
/** A listing begins anew when its revision is compacted between two pages. */
const MAX_ATTEMPTS = 3

/** A listing, and which history it is of. */
export interface StoredListing {
  readonly entries: readonly StoredEntry[]
  /** Its revision is that of the listing. */
  readonly header: Header
}

/**
 * Reads all entries, in the order of their keys.
 *
 * @throws LariatError store-away, permission; busy when etcd compacts faster than it can be read
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
      if (!(error instanceof EtcdFailure) || !error.outOfRange) throw error
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
  const entries: StoredEntry[] = []
  const range = encodePrefix(prefix)
  let limit = pageEntries
  let header: Header | undefined
  let key = range.key
  for (;;) {
    const body = { ...range, key, limit: String(limit), revision: String(header?.revision ?? 0) }
    const page = await readPage(client, prefix, body)
    if (page === "too large" && limit === 1) {
      throw new LariatError(`Cannot list ${prefix}: one of its entries is larger than is read`, {
        code: "io",
      })
    }
    if (page === "too large") {
      limit = Math.ceil(limit / 8)
      continue
    }
    for (const entry of page.entries) entries.push(entry)
    header ??= page.header
    if (!page.more || page.nextKey === undefined) return { entries, header }
    key = page.nextKey
    if (entries.length > MAX_ENTRIES) {
      throw new LariatError(`Cannot list ${prefix}: it has more than ${MAX_ENTRIES} entries`, {
        code: "io",
      })
    }
  }
}

async function readPage(
  client: EtcdClient,
  prefix: string,
  body: object,
): Promise<RangeAnswer | "too large"> {
  try {
    return (await client.call("/v3/kv/range", body, `list ${prefix}`, rangeAnswer)).value
  } catch (error) {
    if (error instanceof TooLargeFailure) return "too large"
    throw error
  }
}

/** What callers see of an entry. */
export function plainEntry({ key, value, revision }: Entry): Entry {
  return { key, value, revision }
}
