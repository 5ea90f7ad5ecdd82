import { afterAll, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Ear, errorOf } from "../../../test/cluster/ear.ts"
import { settle } from "../../../test/cluster/fake_world.ts"
import { storeContract } from "../../../test/cluster/store_contract.ts"
import type { SqlDatabase, SqlStatement, SqlValue } from "./sqlite_database.ts"
import { SqliteStore } from "./sqlite_store.ts"

const now = () => performance.now()
const directory = mkdtempSync(join(tmpdir(), "store-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const open = (name: string) => new SqliteStore(new DatabaseSync(join(directory, name)), now)

storeContract("the embedded store", async () => new SqliteStore(new DatabaseSync(":memory:"), now))

test("entries and revisions survive, presences do not", async () => {
  const first = open("survive")
  await first.commit([], [{ key: "/a", value: "1" }])
  const { revision } = await first.commit([], [{ key: "/b", value: "2" }])
  await first.close()
  const second = open("survive")
  expect((await second.list("")).entries.map(({ key, value }) => [key, value])).toEqual([
    ["/a", "1"],
    ["/b", "2"],
  ])
  expect((await second.list("")).revision).toBe(revision)
  expect((await second.commit([], [{ key: "/c", value: "3" }])).revision).toBe(revision + 1)
  await second.close()
})

test("what was committed survives kill -9; a presence of then is gone, as a change of its own", async () => {
  const path = join(directory, "killed")
  const program = `
    import { DatabaseSync } from "node:sqlite"
    import { SqliteStore } from ${JSON.stringify(join(import.meta.dir, "sqlite_store.ts"))}
    const store = new SqliteStore(new DatabaseSync(${JSON.stringify(path)}), () => 0)
    store.present("/alive/me", "here", { ttlMs: 1000 })
    await store.commit([], [{ key: "/a", value: "1" }])
    console.log((await store.list("")).revision)
    process.kill(process.pid, "SIGKILL")
  `
  let output = ""
  try {
    output = execFileSync(process.execPath, ["-e", program], { encoding: "utf8", timeout: 10_000 })
  } catch (error) {
    output = String((error as { stdout?: string }).stdout)
  }
  const before = Number(output)
  expect(before).toBe(3)
  const store = open("killed")
  const { entries, revision } = await store.list("")
  expect(entries.map(({ key }) => key)).toEqual(["/a"])
  expect(revision).toBe(before + 1)
  await store.close()
})

test("a second one on the same file is refused", async () => {
  const first = open("twice")
  expect(() => open("twice")).toThrow("Cannot open the embedded store")
  await first.commit([], [{ key: "/a", value: "1" }])
  await first.close()
})

test("a file of a newer program is refused", async () => {
  await open("newer").close()
  const database = new DatabaseSync(join(directory, "newer"))
  database.exec("UPDATE store_meta SET schema = 99")
  database.close()
  expect(() => open("newer")).toThrow("its schema is 99, this program knows 1")
})

/** A database whose statements fail while `broken` says why. */
class BreakingDatabase implements SqlDatabase {
  readonly #database = new DatabaseSync(":memory:")
  broken: string | undefined

  prepare(sql: string): SqlStatement {
    const statement = this.#database.prepare(sql)
    const guard = <T>(work: () => T): T => {
      if (this.broken !== undefined && !sql.startsWith("ROLLBACK")) throw new Error(this.broken)
      return work()
    }
    return {
      get: (...values: SqlValue[]) => guard(() => statement.get(...values)),
      all: (...values: SqlValue[]) => guard(() => statement.all(...values)),
      run: (...values: SqlValue[]) => guard(() => statement.run(...values)),
    }
  }

  close(): void {
    this.#database.close()
  }
}

test("a disk that fails makes the store go away, with the reason, and come back", async () => {
  const database = new BreakingDatabase()
  const errors: unknown[] = []
  const store = new SqliteStore(database, () => 7, { onError: (error) => errors.push(error) })
  const told: boolean[] = []
  store.onHealth(({ reachable }) => told.push(reachable))
  const ear = new Ear()
  store.watch("/", ear)
  await settle()
  database.broken = "disk I/O error"
  const error = await errorOf(store.commit([], [{ key: "/a", value: "1" }]))
  expect(error).toMatchObject({ code: "store-away", message: "Cannot write /a: disk I/O error" })
  expect(store.health()).toMatchObject({ reachable: false, endpoint: "sqlite", since: 7 })
  const presence = store.present("/alive", "me", { ttlMs: 1000 })
  expect(errors).toHaveLength(1)
  database.broken = undefined
  await store.commit([], [{ key: "/a", value: "2" }])
  await settle()
  expect(told).toEqual([false, true])
  // Made up for with the next commit.
  expect(ear.state.get("/alive")).toBe("me")
  expect(ear.state.get("/a")).toBe("2")
  presence.close()
  await store.close()
})

test("a half-done commit leaves nothing", async () => {
  const database = new BreakingDatabase()
  const store = new SqliteStore(database, now)
  const { revision } = await store.commit([], [{ key: "/a", value: "1" }])
  const prepare = database.prepare.bind(database)
  let deletes = 0
  database.prepare = (sql: string) => {
    const statement = prepare(sql)
    if (!sql.startsWith("DELETE FROM store_entry WHERE key")) return statement
    return {
      ...statement,
      run: () => {
        deletes++
        throw new Error("disk I/O error")
      },
    }
  }
  const writes = [
    { key: "/a", value: "2" },
    { key: "/b", value: undefined },
  ]
  await errorOf(store.commit([], writes))
  expect(deletes).toBe(1)
  expect(await store.get("/a")).toEqual({ key: "/a", value: "1", revision })
  expect((await store.list("")).revision).toBe(revision)
  await store.close()
})
