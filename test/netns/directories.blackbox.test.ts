/** Whose the agent's directories and files are, and that one agent alone uses them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { attempt } from "../clients/program.ts"
import { Lab, lariatCommand, SEED } from "./lab.ts"

const NOBODY = 65_534

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start()
})
afterAll(() => lab.close())

let base = ""
let state = ""
let runs = ""
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "directories-"))
  state = join(base, "state")
  runs = join(base, "run")
})

/** Starts an agent that must end by itself, and tells what it said. */
async function refused(stateDir: string, runDir: string): Promise<string> {
  const { status, stderr } = await attempt(
    [
      ...[...lariatCommand(), "agent", "--config", SEED],
      ...["--state-dir", stateDir, "--run-dir", runDir],
    ],
    { timeoutMs: 8000 },
  )
  rmSync(base, { recursive: true, force: true })
  expect(status).toBe(1)
  return stderr
}

const modeOf = (path: string) => statSync(path).mode & 0o777

test("a second agent in one run directory is refused, and the first goes on", async () => {
  const said = await refused(state, lab.runDir)
  expect(said).toContain(
    `Cannot use the run directory ${lab.runDir}: another agent uses it (process ${lab.pid})`,
  )
  expect((await lab.status()).agent.pid).toBe(lab.pid)
  // One that was killed holds nothing.
  await lab.kill()
  await lab.startAgent()
  expect((await lab.status()).agent.pid).toBe(lab.pid)
})

describe.each<[string, () => string]>([
  ["state", () => state],
  ["run", () => runs],
])("the %s directory", (what, path) => {
  test("of somebody else is refused", async () => {
    mkdirSync(path(), { mode: 0o755 })
    chownSync(path(), NOBODY, NOBODY)
    const said = await refused(state, runs)
    expect(said).toContain(`Cannot use the ${what} directory ${path()}: it belongs to user 65534`)
    expect(said).toContain(`chown 0 ${path()}`)
  })

  test("that others may write to is refused, also behind a symbolic link", async () => {
    const real = join(base, "real")
    mkdirSync(real)
    chmodSync(real, 0o777)
    symlinkSync(real, path())
    const said = await refused(state, runs)
    expect(said).toContain(`Cannot use the ${what} directory ${path()} (${real}): others may write`)
    expect(said).toContain(`chmod go-w ${real}`)
  })

  test("behind a symbolic link of somebody else is refused", async () => {
    const real = join(base, "real")
    mkdirSync(real, { mode: 0o700 })
    symlinkSync(real, path())
    await attempt(["chown", "-h", String(NOBODY), path()])
    expect(await refused(state, runs)).toContain("it is a symbolic link of user 65534")
  })
})

test.each([
  ["state", "lariat.db"],
  ["state", "lariat.db-wal"],
  ["run", "agent.lock"],
])("a symbolic link %s/%s changes no other file", async (folder, name) => {
  const victim = join(mkdtempSync(join(tmpdir(), "victim-")), "file")
  writeFileSync(victim, "mine", { mode: 0o644 })
  mkdirSync(join(base, folder))
  symlinkSync(victim, join(base, folder, name))
  expect(await refused(state, runs)).toContain(`${name}: it is no regular file`)
  expect(modeOf(victim)).toBe(0o644)
  expect(existsSync(victim)).toBe(true)
})
