/** What etcd answers, typed (etcd v3 API, rpc.proto and kv.proto). */

import { LariatError } from "../../../errors.ts"
import type { Entry } from "../store.ts"
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

/** An entry, and whether its last write made it. */
export interface StoredEntry extends Entry {
  readonly created: boolean
}

export interface RangeAnswer {
  readonly header: Header
  readonly entries: readonly StoredEntry[]
  /** More entries than the limit let through. */
  readonly more: boolean
  /** Where a listing goes on, as the gateway takes it: right behind the last of `entries`. */
  readonly nextKey: string | undefined
  /** Of all keys in the range. */
  readonly count: number
}

export interface TxnAnswer {
  readonly header: Header
  readonly succeeded: boolean
  readonly ranges: readonly RangeAnswer[]
}

/** A put, or a deletion (`value` undefined). */
export interface WatchEvent {
  readonly key: string
  readonly value: string | undefined
  readonly revision: number
  readonly created: boolean
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
  readonly events: readonly WatchEvent[]
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
  return rangeOf(fields, writtenHeader(fields))
}

function rangeOf(fields: Fields, header: Header): RangeAnswer {
  const kvs = listField(fields, "kvs")
  const last = kvs.at(-1)
  return {
    header,
    entries: kvs.map(entryOf),
    nextKey: last === undefined ? undefined : followingKey(last, "key"),
    more: flagField(fields, "more"),
    count: countField(fields, "count"),
  }
}

/** @throws LariatError decode */
export function txnAnswer(fields: Fields): TxnAnswer {
  const header = writtenHeader(fields)
  const ranges = listField(fields, "responses").flatMap(({ response_range: range }) =>
    range === undefined ? [] : [rangeOf(fieldsOf(range, "response_range"), header)],
  )
  return { header, succeeded: flagField(fields, "succeeded"), ranges }
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

function entryOf(kv: Fields): StoredEntry {
  const revision = countField(kv, "mod_revision")
  const key = textField(kv, "key")
  if (key === "" || revision === 0) {
    throw new LariatError("Cannot read an entry of etcd: its key or revision is missing", {
      code: "decode",
    })
  }
  return {
    key,
    value: textField(kv, "value"),
    revision,
    created: revision === countField(kv, "create_revision"),
  }
}

function eventOf(event: Fields): WatchEvent {
  const entry = entryOf(fieldsOf(event.kv, "kv"))
  return stringField(event, "type") === "DELETE"
    ? { ...entry, value: undefined, created: false }
    : entry
}
