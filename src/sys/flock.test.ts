import { expect, test } from "bun:test"
import { mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SystemError } from "./ffi/errno.ts"
import { lockFile } from "./flock.ts"

test("a file is locked once, until it is released, and never behind a symbolic link", () => {
  const directory = mkdtempSync(join(tmpdir(), "lariat-flock-"))
  try {
    const path = join(directory, "lock")
    const release = lockFile(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(lockFile(path)).toBeUndefined()
    release?.()
    const again = lockFile(path)
    expect(again).toBeDefined()
    again?.()
    symlinkSync(path, join(directory, "link"))
    expect(() => lockFile(join(directory, "link"))).toThrow(SystemError)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
