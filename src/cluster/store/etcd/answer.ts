/** What etcd answers, typed (etcd v3 API, rpc.proto and kv.proto). */

import { LariatError } from "../../../errors.ts"
import type { Change, Entry } from "../store.ts"
import {
  countField,
  type Fields,
  fieldsOf,
  flagField,
  followingKey,
  idField,
  listField,
  stringField,
  textField,
} from "./codec.ts"

/** Which history a member tells of. */
export interface Header {
  readonly clusterId: string
  readonly revision: number
  readonly term: number
}

export interface RangeAnswer {
  readonly header: Header
  readonly entries: readonly Entry[]
  /** More entries than the limit let through. */
  readonly more: boolean
  /** Where a listing goes on, as the gateway takes it: right behind the last of `entries`. */
  readonly nextKey: string | undefined
}

export interface TxnAnswer {
  readonly header: Header
  readonly succeeded: boolean
}

export interface WatchAnswer {
  readonly header: Header
  readonly created: boolean
  readonly canceled: boolean
  readonly cancelReason: string
  /** Not 0: the wanted revisions up to this one are gone. */
  readonly compactRevision: number
  /** More of the same answer follows. */
  readonly fragment: boolean
  readonly events: readonly Change[]
}

/** @throws LariatError decode */
export function headerOf(fields: Fields): Header {
  const header = fieldsOf(fields.header, "header")
  return {
    clusterId: idField(header, "cluster_id"),
    revision: countField(header, "revision"),
    term: countField(header, "raft_term"),
  }
}

/** @throws LariatError decode */
export function rangeAnswer(fields: Fields): RangeAnswer {
  const kvs = listField(fields, "kvs")
  const last = kvs.at(-1)
  return {
    header: writtenHeader(fields),
    entries: kvs.map(entryOf),
    nextKey: last === undefined ? undefined : followingKey(last, "key"),
    more: flagField(fields, "more"),
  }
}

/** @throws LariatError decode */
export function txnAnswer(fields: Fields): TxnAnswer {
  return { header: writtenHeader(fields), succeeded: flagField(fields, "succeeded") }
}

/** @throws LariatError decode */
export function watchAnswer(fields: Fields): WatchAnswer {
  return {
    header: headerOf(fields),
    created: flagField(fields, "created"),
    canceled: flagField(fields, "canceled"),
    cancelReason: stringField(fields, "cancel_reason"),
    compactRevision: countField(fields, "compact_revision"),
    fragment: flagField(fields, "fragment"),
    events: listField(fields, "events").map(eventOf),
  }
}

/** The header of an answer of the key space, whose first revision is 1. */
function writtenHeader(fields: Fields): Header {
  const header = headerOf(fields)
  if (header.revision > 0) return header
  throw new LariatError("Cannot read an answer of etcd: it has no revision", { code: "decode" })
}

function entryOf(kv: Fields): Entry {
  const revision = countField(kv, "mod_revision")
  const key = textField(kv, "key")
  if (key === "" || revision === 0) {
    throw new LariatError("Cannot read an entry of etcd: its key or revision is missing", {
      code: "decode",
    })
  }
  return { key, value: textField(kv, "value"), revision }
}

function eventOf(event: Fields): Change {
  const entry = entryOf(fieldsOf(event.kv, "kv"))
  return stringField(event, "type") === "DELETE" ? { ...entry, value: undefined } : entry
}
