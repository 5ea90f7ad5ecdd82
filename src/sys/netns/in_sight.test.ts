import { expect, test } from "bun:test"
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { namespacesInSight } from "./in_sight.ts"

test("each namespace is seen once, by its name before a process", () => {
  const root = mkdtempSync(join(tmpdir(), "in-sight-"))
  const [folder, proc] = [join(root, "netns"), join(root, "proc")]
  for (const pid of ["1", "22", "self", "33"]) {
    mkdirSync(join(proc, pid, "ns"), { recursive: true })
  }
  mkdirSync(folder)
  writeFileSync(join(folder, "web"), "")
  linkSync(join(folder, "web"), join(proc, "1/ns/net"))
  writeFileSync(join(proc, "22/ns/net"), "")
  linkSync(join(proc, "22/ns/net"), join(proc, "self/ns/net"))
  const folders = [folder, join(root, "none")]
  expect(namespacesInSight({ folders, proc })).toEqual([
    join(folder, "web"),
    join(proc, "22/ns/net"),
  ])
  rmSync(root, { recursive: true })
})

test("a process sees its own", () => {
  expect(namespacesInSight({ folders: [] }).length).toBeGreaterThan(0)
})
