/** The embedded store's tables: entries by key, and the revision that grows with every write. */

import { LariatError, messageOf } from "../../errors.ts"
import { prefixRange } from "./key_range.ts"
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from "./sqlite_database.ts"
import type { Change, Commit, Condition, Entry, Listing, Write } from "./store.ts"

/** Grows with each change of the tables that an older program would not understand. */
const SCHEMA = 1
/** Nothing written yet; as in etcd, so that 0 can stand for "no such key". */
const FIRST_REVISION = 1

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** What a commit came to, and what it changed. */
export interface WrittenCommit extends Commit {
  readonly changes: readonly Change[]
}

/** Every call is one transaction, and sees all before it. */
export class SqliteEntries {
  readonly #database: SqlDatabase
  readonly #statements = new Map<string, SqlStatement>()
  #revision = 0

  /** @throws LariatError store-away */
  constructor(database: SqlDatabase) {
    this.#database = database
    this.#guard("open the embedded store", () => this.#open())
  }

  get revision(): number {
    return this.#revision
  }

  /** @throws LariatError store-away */
  get(key: string): Entry | undefined {
    const row = this.#guard(`read ${key}`, () => this.#one(SELECT_ONE, encoder.encode(key)))
    return row && entryOf(row)
  }

  /** @throws LariatError store-away */
  list(prefix: string): Listing {
    const { first, end } = prefixRange(prefix)
    const rows = this.#guard(`list ${prefix}`, () =>
      end.length === 0
        ? this.#prepare(SELECT_FROM).all(first)
        : this.#prepare(SELECT_RANGE).all(first, end),
    )
    return { entries: rows.map(entryOf), revision: this.#revision }
  }

  /**
   * @param present whether the writes are of a presence, which must not outlive this process
   * @throws LariatError store-away
   */
  commit(
    conditions: readonly Condition[],
    writes: readonly Write[],
    present = false,
  ): WrittenCommit {
    const doing = `write ${writes[0]?.key ?? "nothing"}`
    return this.#guard(doing, () =>
      this.#transaction(() => {
        const holds = conditions.every(({ key, revision }) => this.#revisionOf(key) === revision)
        if (!holds) return { committed: false, revision: this.#revision, changes: [] }
        const revision = this.#revision + 1
        const changes = writes
          .filter((write) => this.#write(write, revision, present))
          .map((write) => ({ ...write, revision }))
        if (changes.length > 0) this.#prepare(UPDATE_REVISION).run(revision)
        return {
          committed: true,
          revision: changes.length > 0 ? revision : this.#revision,
          changes,
        }
      }),
    )
  }

  close(): void {
    this.#statements.clear()
    this.#guard("close the embedded store", () => this.#database.close())
  }

  #open(): void {
    // Prepared throughout: errors of exec() carry no result code in Deno.
    // Alone: the revision, and who has to hear of a change, are known to one process only.
    this.#one("PRAGMA locking_mode = EXCLUSIVE")
    this.#one("PRAGMA journal_mode = WAL")
    this.#one("PRAGMA synchronous = NORMAL")
    this.#transaction(() => {
      for (const sql of TABLES) this.#prepare(sql).run()
      this.#prepare(INSERT_META).run(SCHEMA, FIRST_REVISION)
      const row = this.#one("SELECT schema, revision FROM store_meta")
      if (row?.schema !== SCHEMA) {
        throw new Error(`its schema is ${String(row?.schema)}, this program knows ${SCHEMA}`)
      }
      const revision = Number(row.revision)
      const left = Number(this.#prepare(DELETE_PRESENT).run().changes)
      if (left > 0) this.#prepare(UPDATE_REVISION).run(revision + 1)
      return { committed: true, revision: left > 0 ? revision + 1 : revision }
    })
  }

  #revisionOf(key: string): number {
    return Number(this.#one(SELECT_ONE, encoder.encode(key))?.revision ?? 0)
  }

  /** Whether it changed anything: deleting what is not there does not. */
  #write({ key, value }: Write, revision: number, present: boolean): boolean {
    const bytes = encoder.encode(key)
    const { changes } =
      value === undefined
        ? this.#prepare(DELETE_ONE).run(bytes)
        : this.#prepare(UPSERT).run(bytes, value, revision, present ? 1 : 0)
    return Number(changes) > 0
  }

  /** Takes over the new revision only once it is on its way to the disk. */
  #transaction<T extends Commit>(work: () => T): T {
    this.#prepare("BEGIN IMMEDIATE").run()
    try {
      const result = work()
      this.#prepare("COMMIT").run()
      this.#revision = result.revision
      return result
    } catch (error) {
      try {
        this.#prepare("ROLLBACK").run()
      } catch {
        // SQLite has rolled back by itself after some errors, a full disk for one.
      }
      throw error
    }
  }

  #one(sql: string, ...values: SqlValue[]): SqlRow | undefined {
    return this.#prepare(sql).get(...values)
  }

  #prepare(sql: string): SqlStatement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #guard<T>(doing: string, work: () => T): T {
    try {
      return work()
    } catch (cause) {
      throw new LariatError(`Cannot ${doing}: ${messageOf(cause)}`, {
        code: "store-away",
        hint: "see that the disk of the state directory is healthy and has room",
        cause,
      })
    }
  }
}

/** Keys are BLOBs: in the order of their bytes, as in etcd, whatever the collation. */
const TABLES: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS store_entry (
    key BLOB PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL, present INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS store_meta (
    one INTEGER PRIMARY KEY CHECK (one = 1), schema INTEGER NOT NULL, revision INTEGER NOT NULL
  ) STRICT`,
]
const INSERT_META = "INSERT OR IGNORE INTO store_meta (one, schema, revision) VALUES (1, ?, ?)"
const UPDATE_REVISION = "UPDATE store_meta SET revision = ?"
const SELECT_ONE = "SELECT key, value, revision FROM store_entry WHERE key = ?"
const SELECT_FROM = "SELECT key, value, revision FROM store_entry WHERE key >= ? ORDER BY key"
const SELECT_RANGE =
  "SELECT key, value, revision FROM store_entry WHERE key >= ? AND key < ? ORDER BY key"
const UPSERT =
  "INSERT OR REPLACE INTO store_entry (key, value, revision, present) VALUES (?, ?, ?, ?)"
const DELETE_ONE = "DELETE FROM store_entry WHERE key = ?"
const DELETE_PRESENT = "DELETE FROM store_entry WHERE present = 1"

function entryOf({ key, value, revision }: SqlRow): Entry {
  return {
    key: key instanceof Uint8Array ? decoder.decode(key) : "",
    value: String(value),
    revision: Number(revision),
  }
}
