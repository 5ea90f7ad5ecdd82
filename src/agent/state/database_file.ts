/** The state database's SQLite file: opened alone, checked, brought up to date; errors in our words. */

import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { LariatError, messageOf } from "../../errors.ts"
import { lockHolder } from "./database_lock.ts"
import { ownFile } from "./own_directory.ts"
import type { Row } from "./rows.ts"
import { APPLICATION_ID, META_TABLE, MIGRATIONS } from "./schema.ts"

/** Primary result codes (https://sqlite.org/rescode.html). */
const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26

/**
 * Page size of a new file, bytes. A transaction writes each page that it touches whole: with small
 * rows in several trees, small pages halve what is written and what a checkpoint has to sync.
 */
const PAGE_SIZE = 1024
/**
 * Pages of log after which SQLite checkpoints in the middle of a commit, 8 MiB; the agent should
 * do so before, when idle. More log would make opening after a crash slow.
 */
const AUTOCHECKPOINT = 8192

/** Files that belong to a database in WAL mode, by what is added to its name. */
const COMPANIONS: readonly string[] = ["", "-wal", "-shm"]

/** The path of a database that lives in memory only. */
const IN_MEMORY = ":memory:"

/**
 * One connection that owns its file: WAL, synchronous=NORMAL, an exclusive lock. Every transaction
 * that returned survives the end of the process; after a power loss the last ones may be gone, but
 * never half of one.
 */
export class DatabaseFile {
  readonly #path: string
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path
    this.#database = database
  }

  /**
   * Opens the file, or makes it with mode 0600 and its directory with mode 0700.
   *
   * @throws LariatError busy where another process has it; io where it is damaged, newer than
   *   this program, of another program, or cannot be written
   */
  static open(path: string): DatabaseFile {
    if (path !== IN_MEMORY) makeFile(path)
    try {
      return new DatabaseFile(path, openChecked(path))
    } catch (error) {
      throw explain(error, "open", path)
    }
  }

  /** The first row, undefined if there is none. */
  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#guard("read", () => this.#prepare(sql).get(...values))
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#guard("read", () => this.#prepare(sql).all(...values))
  }

  /** All rows of a query, whatever integers they hold: those that are not exact numbers as bigint. */
  scan(sql: string): Row[] {
    return this.#guard("read", () => {
      const statement = this.#database.prepare(sql)
      statement.setReadBigInts(true)
      return statement.all().map(exactly)
    })
  }

  /** Runs one statement and tells how many rows it changed and the row id of an INSERT. */
  run(sql: string, ...values: SQLInputValue[]): { changes: number; id: number } {
    const { changes, lastInsertRowid } = this.#guard("write", () =>
      this.#prepare(sql).run(...values),
    )
    return { changes: Number(changes), id: Number(lastInsertRowid) }
  }

  /** Does all of it or, when it throws, nothing. Not to be nested. */
  transaction<T>(work: () => T): T {
    this.run("BEGIN IMMEDIATE")
    try {
      const result = work()
      this.run("COMMIT")
      return result
    } catch (error) {
      // SQLite has rolled back by itself after some errors, a full disk for one.
      if (this.#database.isTransaction) this.run("ROLLBACK")
      throw error
    }
  }

  /**
   * Moves what the log holds into the file, where SQLite would do it in the middle of some later
   * transaction at the cost of two fsyncs. For idle moments.
   */
  checkpoint(): void {
    this.get("PRAGMA wal_checkpoint(PASSIVE)")
  }

  close(): void {
    this.#statements.clear()
    this.#guard("close", () => this.#database.close())
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #guard<T>(verb: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw explain(error, verb, this.#path)
    }
  }
}

function exactly(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [
      column,
      typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value,
    ]),
  )
}

/** Makes the file before SQLite does, which would leave its mode to the umask. */
function makeFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    for (const companion of COMPANIONS) ownFile(path + companion)
    // An existing file is not opened here: closing it again would drop a lock of this process.
    if (!existsSync(path)) closeSync(openSync(path, "wx", 0o600))
    for (const companion of COMPANIONS) {
      if (existsSync(path + companion)) chmodSync(path + companion, 0o600)
    }
  } catch (error) {
    throw explain(error, "make", path)
  }
}

function openChecked(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  // Prepared throughout: errors of exec() carry no result code in Deno.
  const run = (sql: string): Row | undefined => database.prepare(sql).get()
  try {
    run(`PRAGMA page_size = ${PAGE_SIZE}`)
    // Exclusive before the first access: then the log's index is kept in memory, not in a file.
    run("PRAGMA locking_mode = EXCLUSIVE")
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = NORMAL")
    run(`PRAGMA wal_autocheckpoint = ${AUTOCHECKPOINT}`)
    run("PRAGMA foreign_keys = ON")
    run("BEGIN IMMEDIATE")
    run("COMMIT")
    // A value that a rule of the schema forbids is one bad row, which is set aside.
    run("PRAGMA ignore_check_constraints = ON")
    const verdict = run("PRAGMA quick_check(1)")?.quick_check
    run("PRAGMA ignore_check_constraints = OFF")
    if (verdict !== "ok") throw new DamageError(String(verdict))
    migrate(database, path)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** What `quick_check` found. */
class DamageError extends Error {}

function migrate(database: DatabaseSync, path: string): void {
  const mark = database.prepare("PRAGMA application_id").get()?.application_id
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.count
  if (mark !== APPLICATION_ID && tables !== 0) {
    throw new LariatError(`Cannot open ${path}: it is a database of another program`, {
      code: "io",
      hint: "Choose another --state-dir",
    })
  }
  const stored = tables === 0 ? undefined : schemaOf(database)
  const version = stored === undefined ? 0 : Number(stored)
  if (!Number.isInteger(version) || version < 0 || version > MIGRATIONS.length) {
    throw new LariatError(
      `Cannot open ${path}: its schema is ${stored}, this program knows up to ${MIGRATIONS.length}`,
      { code: "io", hint: "Run the version of Lariat that wrote it, or a newer one" },
    )
  }
  // Nothing is written that stands: the agent must start on a full disk, too.
  if (version === MIGRATIONS.length) return
  database.exec("BEGIN IMMEDIATE")
  try {
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
    database.exec(META_TABLE)
    for (const step of MIGRATIONS.slice(version)) database.exec(step)
    database
      .prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?)")
      .run(String(MIGRATIONS.length))
    database.exec("COMMIT")
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK")
    throw error
  }
}

function schemaOf(database: DatabaseSync): string | undefined {
  const row = database.prepare("SELECT value FROM meta WHERE key = 'schema'").get()
  return row === undefined ? undefined : String(row.value)
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined
  // The upper bits of an extended result code say more of the same.
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined
}

function isDamage(error: unknown): boolean {
  const code = resultCode(error)
  return error instanceof DamageError || code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

function explain(error: unknown, verb: string, path: string): LariatError {
  if (error instanceof LariatError) return error
  const doing = `Cannot ${verb} the state database ${path}`
  const failure = (why: string, hint: string, code: "busy" | "io" = "io"): LariatError =>
    new LariatError(`${doing}: ${why}`, { code, hint, cause: error })
  if (isDamage(error)) {
    return failure(
      `it is damaged (${messageOf(error)})`,
      `Restore ${path} from a backup, or move it away together with ${path}-wal and start again`,
    )
  }
  switch (resultCode(error)) {
    case SQLITE_BUSY: {
      const pid = lockHolder(path)
      const who = pid === undefined ? "" : ` (process ${pid})`
      return failure(
        `another agent uses this state directory${who}`,
        "Stop the other agent, or give this one a --state-dir of its own",
        "busy",
      )
    }
    case SQLITE_FULL:
      return failure("the disk is full", `Free space on the disk of ${dirname(path)}`)
    case SQLITE_READONLY:
      return failure(messageOf(error), "Make the file and its directory writable for the agent")
    default:
      return failure(messageOf(error), `See that ${dirname(path)} is a writable, healthy directory`)
  }
}
