import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { LariatError } from "../../errors.ts"
import { DatabaseFile } from "./database_file.ts"
import { MIGRATIONS } from "./schema.ts"

let directory = ""
let path = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lariat-database-"))
  path = join(directory, "state", "lariat.db")
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function refusal(action: () => unknown): LariatError {
  try {
    action()
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
  throw new Error("nothing was refused")
}

const modeOf = (file: string): number => statSync(file).mode & 0o777

describe("the file", () => {
  test("is for its owner only, whatever the umask", () => {
    const before = process.umask(0)
    try {
      const database = DatabaseFile.open(path)
      database.run("INSERT INTO meta VALUES ('a', 'b')")
      expect(modeOf(join(directory, "state"))).toBe(0o700)
      expect(readdirSync(join(directory, "state")).toSorted()).toEqual([
        "lariat.db",
        "lariat.db-wal",
      ])
      expect(modeOf(path)).toBe(0o600)
      expect(modeOf(`${path}-wal`)).toBe(0o600)
      database.close()
      expect(readdirSync(join(directory, "state"))).toEqual(["lariat.db"])
    } finally {
      process.umask(before)
    }
  })

  test("of an earlier run gets its mode back; a directory that was there keeps its own", () => {
    mkdirSync(join(directory, "state"), { mode: 0o755 })
    DatabaseFile.open(path).close()
    rmSync(path)
    writeFileSync(path, "", { mode: 0o644 })
    DatabaseFile.open(path).close()
    expect(modeOf(path)).toBe(0o600)
    expect(modeOf(join(directory, "state"))).toBe(0o755)
  })

  test("that cannot be made is an error with its path", () => {
    writeFileSync(join(directory, "state"), "no directory")
    const error = refusal(() => DatabaseFile.open(path))
    expect(error.code).toBe("io")
    expect(error.message).toStartWith(`Cannot make the state database ${path}: `)
  })

  test("that is a directory is an error with its path", () => {
    mkdirSync(path, { recursive: true })
    const error = refusal(() => DatabaseFile.open(path))
    expect(error.code).toBe("permission")
    expect(error.message).toBe(`Cannot use ${path}: it is no regular file`)
  })
})

test("a second opener is told who has it, and the first is not disturbed", () => {
  const first = DatabaseFile.open(path)
  for (let i = 0; i < 2; i++) {
    const error = refusal(() => DatabaseFile.open(path))
    expect(error.code).toBe("busy")
    expect(error.message).toBe(
      `Cannot open the state database ${path}: another agent uses this state directory (process ${process.pid})`,
    )
  }
  first.run("INSERT INTO meta VALUES ('a', 'b')")
  first.close()
  const second = DatabaseFile.open(path)
  expect(second.get("SELECT value FROM meta WHERE key = 'a'")).toEqual({ value: "b" })
  second.close()
})

describe("a damaged file", () => {
  const damages: [string, () => void][] = [
    ["is no database at all", () => writeFileSync(path, "garbage ".repeat(2000))],
    ["was cut short", () => truncateSync(path, statSync(path).size - 5000)],
    [
      "was overwritten in the middle",
      () => {
        const bytes = readFileSync(path)
        bytes.fill(0x5a, 3 * 1024, 12 * 1024)
        writeFileSync(path, bytes)
      },
    ],
  ]
  for (const [what, damage] of damages) {
    test(`that ${what} is refused and left alone`, () => {
      const before = DatabaseFile.open(path)
      for (let i = 0; i < 50; i++) {
        before.run("INSERT INTO meta VALUES (?, ?)", `key ${i}`, "x".repeat(300))
      }
      before.close()
      damage()
      const bytes = readFileSync(path)
      const error = refusal(() => DatabaseFile.open(path))
      expect(error.code).toBe("io")
      expect(error.message).toStartWith(`Cannot open the state database ${path}: it is damaged`)
      expect(error.hint).toContain(path)
      expect(readFileSync(path).equals(bytes)).toBe(true)
    })
  }
})

describe("the schema", () => {
  test("of a newer version is refused", () => {
    const database = DatabaseFile.open(path)
    database.run("UPDATE meta SET value = '99' WHERE key = 'schema'")
    database.close()
    const error = refusal(() => DatabaseFile.open(path))
    expect(error.code).toBe("io")
    expect(error.message).toContain(
      `its schema is 99, this program knows up to ${MIGRATIONS.length}`,
    )
    expect(existsSync(path)).toBe(true)
  })

  test("of another program is refused and not changed", () => {
    mkdirSync(join(directory, "state"))
    const other = new DatabaseSync(path)
    other.exec("CREATE TABLE meta (a)")
    other.close()
    const error = refusal(() => DatabaseFile.open(path))
    expect(error.code).toBe("io")
    expect(error.message).toContain("a database of another program")
    const again = new DatabaseSync(path)
    expect(again.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "meta" }])
    again.close()
  })

  test("is written once and its version kept", () => {
    DatabaseFile.open(path).close()
    const database = DatabaseFile.open(path)
    expect(database.get("SELECT value FROM meta WHERE key = 'schema'")).toEqual({
      value: String(MIGRATIONS.length),
    })
    database.close()
  })
})

describe("a transaction", () => {
  test("that throws leaves nothing, and the next one works", () => {
    const database = DatabaseFile.open(":memory:")
    const put = (key: string): unknown => database.run("INSERT INTO meta VALUES (?, 'x')", key)
    expect(() =>
      database.transaction(() => {
        put("a")
        throw new Error("on purpose")
      }),
    ).toThrow("on purpose")
    const constraint = refusal(() =>
      database.transaction(() => {
        put("b")
        put("b")
      }),
    )
    expect(constraint.code).toBe("io")
    database.transaction(() => put("c"))
    expect(database.all("SELECT key FROM meta WHERE key <> 'schema'")).toEqual([{ key: "c" }])
  })

  test("that does not fit the disk leaves nothing, and says so", () => {
    const database = DatabaseFile.open(path)
    database.get("PRAGMA max_page_count = 20")
    const error = refusal(() =>
      database.transaction(() => {
        database.run("INSERT INTO meta VALUES ('small', 'x')")
        database.run("INSERT INTO meta VALUES ('large', ?)", "x".repeat(100_000))
      }),
    )
    expect(error.code).toBe("io")
    expect(error.message).toContain("the disk is full")
    expect(error.hint).toContain(join(directory, "state"))
    database.run("INSERT INTO meta VALUES ('after', 'x')")
    expect(database.all("SELECT key FROM meta WHERE key <> 'schema'")).toEqual([{ key: "after" }])
    database.close()
  })
})
