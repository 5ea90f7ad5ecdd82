import { describe, expect, test } from "bun:test"
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { StateDatabase } from "./state_database.ts"

/*
 * A process that writes is killed at random moments. What it said was done must be done, what it
 * was about to do may be done or not, and nothing else may have changed.
 */

const WRITER = fileURLToPath(
  new URL("../../../test/crash/state_database_writer.ts", import.meta.url),
)
const DENO = fileURLToPath(new URL("../../../node_modules/.bin/deno", import.meta.url))

/** Per endpoint, `state address`. */
type Picture = Map<number, string>

/**
 * Runs a writer for a random while, kills it, and returns the lines that it wrote.
 *
 * @param whileItRuns is called once with the writer's process id when it has the state database open
 */
function runAndKill(
  command: string,
  args: readonly string[],
  whileItRuns: (pid: number) => void = () => {},
): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    let complaint = ""
    let armed = false
    const kill = (): boolean => child.kill("SIGKILL")
    const late = setTimeout(kill, 20_000)
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString()
      if (armed) return
      armed = true
      setTimeout(kill, Math.random() * 40)
      try {
        whileItRuns(child.pid ?? -1)
      } catch (error) {
        reject(error)
      }
    })
    child.stderr.on("data", (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    child.on("error", reject)
    child.on("close", (_, signal) => {
      clearTimeout(late)
      if (signal === "SIGKILL" && armed) resolve(out.split("\n").slice(1, -1))
      else reject(new Error(`the writer ended by itself: ${complaint}`))
    })
  })
}

function replay(before: Picture, lines: readonly string[]): Picture {
  const picture = new Map(before)
  for (const line of lines) {
    const [verb, id, address] = line.split(" ")
    const states: Record<string, string> = {
      begin: "attaching",
      finish: "attached",
      detach: "detaching",
    }
    const state = states[verb ?? ""]
    if (state === undefined) picture.delete(Number(id))
    else picture.set(Number(id), `${state} ${address}`)
  }
  return picture
}

function look(path: string): Picture {
  const stateDatabase = StateDatabase.open(path, { bootId: "boot" })
  const rows = stateDatabase.endpoints()
  const addresses = rows.flatMap((row) => row.addresses.map((one) => one.address))
  // Every endpoint has its one address, every address its endpoint, none twice, none that rests.
  expect(addresses.length).toBe(rows.length)
  expect(stateDatabase.leases("n").toSorted()).toEqual(addresses.toSorted())
  expect(new Set(addresses).size).toBe(addresses.length)
  for (const { address } of stateDatabase.quarantined("n")) expect(addresses).not.toContain(address)
  for (const row of rows) expect(row.result !== undefined).toBe(row.state !== "attaching")
  stateDatabase.close()

  const database = new DatabaseSync(path)
  expect(database.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }])
  expect(database.prepare("PRAGMA foreign_key_check").all()).toEqual([])
  database.close()
  return new Map(rows.map((row) => [row.id, `${row.state} ${row.addresses[0]?.address}`]))
}

async function inDirectory(work: (path: string) => void | Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "lariat-crash-"))
  try {
    await work(join(directory, "lariat.db"))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function crash(times: number, command: string, args: readonly string[]): Promise<void> {
  return inDirectory(async (path) => {
    let before: Picture = new Map()
    let done = 0
    for (let i = 0; i < times; i++) {
      const lines = await runAndKill(command, [...args, WRITER, path])
      const told = replay(before, lines)
      const found = look(path)
      const ids = new Set([...told.keys(), ...found.keys()])
      const different = [...ids].filter((id) => told.get(id) !== found.get(id))
      expect(different.length).toBeLessThanOrEqual(1)
      for (const id of different) {
        const next: Record<string, string> = {
          attaching: "attached",
          attached: "detaching",
          detaching: "gone",
          none: "attaching",
        }
        const [was = "none"] = (told.get(id) ?? "none").split(" ")
        const [is] = (found.get(id) ?? "gone").split(" ")
        expect(is).toBe(next[was])
      }
      before = found
      done += lines.length
    }
    expect(done).toBeGreaterThan(times)
  })
}

const RUNTIMES = [
  ["Bun", process.execPath, ["run"]],
  ["Deno", DENO, ["run", "-A"]],
] as const

describe("the reason why a state database cannot be opened is the same in both runtimes", () => {
  /** What a writer says that is expected to fail at once. */
  const complaint = (command: string, args: readonly string[], path: string): string =>
    spawnSync(command, [...args, WRITER, path], { timeout: 20_000 }).stderr.toString()

  for (const [name, command, args] of RUNTIMES) {
    test(`${name}: another agent has it`, async () => {
      await inDirectory(async (path) => {
        const complaints: string[] = []
        let holder = 0
        await runAndKill(process.execPath, ["run", WRITER, path], (pid) => {
          holder = pid
          complaints.push(complaint(command, args, path))
        })
        expect(complaints.join()).toContain(
          `Cannot open the state database ${path}: another agent uses this state directory (process ${holder})`,
        )
        look(path)
      })
    }, 30_000)

    test(`${name}: it is damaged`, async () => {
      await inDirectory((path) => {
        writeFileSync(path, "garbage ".repeat(1000))
        expect(complaint(command, args, path)).toContain(
          `Cannot open the state database ${path}: it is damaged (file is not a database)`,
        )
      })
    }, 30_000)
  }
})

for (const [name, command, args] of RUNTIMES) {
  const times = name === "Bun" ? 50 : 5
  test(
    `${times} kills lose nothing that was done (${name})`,
    () => crash(times, command, args),
    120_000,
  )
}
