/** `lariat demo`: the first thing that anyone runs. */
import { expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { attempt, waitFor } from "../clients/program.ts"

test("lariat demo shows the whole thing and leaves nothing behind", async () => {
  const command = JSON.parse(process.env.LARIAT_CMD ?? "[]") as string[]
  const before = [readdirSync(tmpdir()), readdirSync("/run/netns"), networkInterfaces()]
  const demo = await attempt([...command, "demo"], { timeoutMs: 60_000 })
  expect(demo).toMatchObject({ status: 0, stderr: "" })
  // Attached with the seed's MTU, heard by each other and outside, and told who they are.
  expect(demo.stdout.match(/10\.42\.\d+\.\d+\/16/g)?.length).toBeGreaterThanOrEqual(2)
  expect(demo.stdout).toContain("1402")
  for (const said of [
    "pings",
    "web asks for db.rancher.internal: 10.42.",
    "masqueraded",
    "/latest/self/container/name",
    "detached",
  ]) {
    expect(demo.stdout).toContain(said)
  }
  expect(demo.stdout).not.toContain("✗")
  const after = [readdirSync(tmpdir()), readdirSync("/run/netns"), networkInterfaces()]
  expect(after).toEqual(before)
}, 90_000)

/** Pids whose command line has a text in it. */
function running(text: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
      } catch {
        return false
      }
    })
}

test("agents of a demo that is killed end with it", async () => {
  const command = JSON.parse(process.env.LARIAT_CMD ?? "[]") as string[]
  const [program = "", ...args] = command
  const before = readdirSync(tmpdir())
  const demo = spawn(program, [...args, "demo"], { stdio: "ignore" })
  const gone = new Promise<void>((resolve) => demo.once("exit", () => resolve()))
  const made = await waitFor("the demo's folder", () =>
    readdirSync(tmpdir()).find((name) => name.startsWith("lariat-demo-") && !before.includes(name)),
  )
  const directory = join(tmpdir(), made)
  try {
    const agents = await waitFor("its agent", () => {
      const pids = running(`${directory}/`)
      return pids.length > 0 ? pids : undefined
    })
    demo.kill("SIGKILL")
    await gone
    expect(agents.length).toBeGreaterThan(0)
    await waitFor(
      "the agent to be gone",
      () => (running(`${directory}/`).length === 0 ? true : undefined),
      10_000,
    )
  } finally {
    for (const pid of running(`${directory}/`)) process.kill(pid, "SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  }
}, 60_000)
