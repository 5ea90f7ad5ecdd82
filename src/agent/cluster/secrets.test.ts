import { afterAll, describe, expect, test } from "bun:test"
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LariatError } from "../../errors.ts"
import { readSecret, writeSecret } from "./secrets.ts"

const directory = mkdtempSync(join(tmpdir(), "lariat-secret-"))
afterAll(() => rmSync(directory, { recursive: true }))

function refusal(read: () => unknown): LariatError {
  try {
    read()
  } catch (error) {
    if (error instanceof LariatError) return error
  }
  throw new Error("it was not refused")
}

test("what was written is read, and is the owner's alone", () => {
  const path = join(directory, "own")
  writeSecret(path, "s3cret\n")
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readSecret(path, "the key")).toBe("s3cret\n")
})

test("a file that is not there is no error", () => {
  expect(readSecret(join(directory, "none"), "the key")).toBeUndefined()
})

describe("refused, without a word of the secret", () => {
  test.each([0o644, 0o640, 0o660, 0o602, 0o601])("mode %o", (mode) => {
    const path = join(directory, `mode-${mode}`)
    writeFileSync(path, "hush-hush")
    chmodSync(path, mode)
    const error = refusal(() => readSecret(path, "the pre-shared key"))
    expect(error.code).toBe("permission")
    expect(error.message).toContain(`others may read or change it (mode ${mode.toString(8)})`)
    expect(error.hint).toBe(`chmod 600 ${path}`)
    expect(String(error.stack)).not.toContain("hush")
  })

  test("a directory, and a file that is too long", () => {
    expect(refusal(() => readSecret(directory, "the key")).message).toContain("no regular file")
    const path = join(directory, "long")
    writeSecret(path, "x".repeat(5000))
    expect(refusal(() => readSecret(path, "the key")).code).toBe("io")
  })
})
