/** `lariat demo`: the first thing that anyone runs. */
import { expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { networkInterfaces, tmpdir } from "node:os"
import { attempt } from "../clients/program.ts"

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
