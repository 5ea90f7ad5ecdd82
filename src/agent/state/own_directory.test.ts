import { afterEach, beforeEach, expect, test } from "bun:test"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { lockRunDirectory, ownDirectory, ownFile } from "./own_directory.ts"

let base = ""
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "lariat-own-"))
})
afterEach(() => rmSync(base, { recursive: true }))

test("a directory that is not there is made for its owner alone, an own one is taken as it is", () => {
  const path = join(base, "deep", "state")
  ownDirectory(`${path}/`, "state directory")
  expect(statSync(path).mode & 0o777).toBe(0o700)
  chmodSync(path, 0o755)
  ownDirectory(path, "state directory")
  symlinkSync(path, join(base, "link"))
  ownDirectory(join(base, "link"), "state directory")
  expect(statSync(path).mode & 0o777).toBe(0o755)
})

test("one that others may write to is refused, saying how to mend it", () => {
  const path = join(base, "open")
  mkdirSync(path)
  for (const mode of [0o777, 0o775, 0o1777]) {
    chmodSync(path, mode)
    expect(() => ownDirectory(path, "run directory")).toThrow(
      `Cannot use the run directory ${path}: others may write to it (mode ${mode.toString(8)})`,
    )
  }
})

test("what is no directory, and a file that is none, is refused", () => {
  ownFile(join(base, "nothing"))
  symlinkSync(join(base, "nothing"), join(base, "link"))
  expect(() => ownFile(join(base, "link"))).toThrow("it is no regular file")
  expect(() => ownDirectory(join(base, "link"), "state directory")).toThrow(
    `Cannot use the state directory ${base}/link: `,
  )
})

test("a run directory is one agent's, and says whose", () => {
  const release = lockRunDirectory(base)
  expect(() => lockRunDirectory(base)).toThrow(
    `Cannot use the run directory ${base}: another agent uses it (process ${process.pid})`,
  )
  release()
  lockRunDirectory(base)()
})
