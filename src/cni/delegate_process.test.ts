import { afterAll, beforeAll, expect, test } from "bun:test"
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findPlugin, runProgram } from "./delegate_process.ts"
import { CniError } from "./error.ts"

const directory = mkdtempSync(join(tmpdir(), "lariat-delegate-"))
const first = join(directory, "first")
const second = join(directory, "second")
afterAll(() => rmSync(directory, { recursive: true }))

function program(path: string, body: string, mode = 0o755): string {
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, mode)
  return path
}

beforeAll(() => {
  mkdirSync(first)
  mkdirSync(join(first, "host-local"), { recursive: true })
  mkdirSync(second)
  program(join(second, "host-local"), "true")
  program(join(first, "static"), "true")
  program(join(second, "static"), "true")
  program(join(second, "data"), "true", 0o644)
})

function refusal(type: string, path: string): CniError {
  try {
    findPlugin(type, path)
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error("it was found")
}

test("the first directory that has the program wins; a directory of that name is none", () => {
  expect(findPlugin("static", `${first}:${second}`)).toBe(join(first, "static"))
  expect(findPlugin("static", `::${second}:${first}`)).toBe(join(second, "static"))
  expect(findPlugin("host-local", `${first}:${second}`)).toBe(join(second, "host-local"))
})

test("what is not there, or cannot be executed, is refused with the directories searched", () => {
  for (const type of ["dhcp", "data"]) {
    const { code, message } = refusal(type, `${first}:${second}`)
    expect(code).toBe("delegate-failed")
    expect(message).toBe(`Cannot delegate to "${type}": no such program in ${first}, ${second}`)
  }
})

test.each(["../first/static", "/bin/sh", ".", "..", "a\0b"])("%p is no plugin's name", (type) => {
  expect(refusal(type, second).cniCode).toBe(7)
})

test.each(["", ":"])("CNI_PATH %p is a missing variable", (path) => {
  expect(refusal("static", path)).toMatchObject({
    cniCode: 4,
    message: 'Cannot delegate to "static": CNI_PATH is missing',
  })
})

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const input = new TextEncoder().encode("{}")

test("a program gets input and environment, and gives output and exit code", async () => {
  const path = program(join(directory, "echo"), 'cat; printf "%s" "$CNI_COMMAND"; exit 3')
  const big = new TextEncoder().encode("x".repeat(500_000))
  const end = await runProgram(path, { CNI_COMMAND: "ADD", PATH: "/usr/bin:/bin" }, big, 10_000)
  expect(end).toMatchObject({ exit: 3, killed: undefined })
  expect(decode(end.stdout)).toBe(`${"x".repeat(500_000)}ADD`)
})

test("a program may end without reading its input", async () => {
  const path = program(join(directory, "deaf"), "echo said")
  const end = await runProgram(path, {}, new Uint8Array(1_000_000), 10_000)
  expect({ ...end, stdout: decode(end.stdout) }).toEqual({
    exit: 0,
    stdout: "said\n",
    killed: undefined,
  })
})

test("a program that does not end is ended", async () => {
  const path = program(join(directory, "slow"), "exec /bin/sleep 30")
  expect(await runProgram(path, {}, input, 50)).toMatchObject({ exit: undefined, killed: "time" })
})

test("a program that prints without end is ended", async () => {
  const path = program(join(directory, "loud"), "exec /bin/cat /dev/zero")
  const end = await runProgram(path, {}, input, 10_000)
  expect(end.killed).toBe("output")
  expect(end.stdout.length).toBeLessThanOrEqual(1_048_576)
})

test("a grandchild that keeps the output open does not keep us", async () => {
  const path = program(join(directory, "fork"), "/bin/sleep 3 &\necho said")
  const end = await runProgram(path, {}, input, 2_000)
  expect({ ...end, stdout: decode(end.stdout) }).toEqual({
    exit: 0,
    stdout: "said\n",
    killed: undefined,
  })
})

test("a program that is still being written is tried again", async () => {
  const path = program(join(directory, "fresh"), "echo said")
  const writer = openSync(path, "r+")
  const run = runProgram(path, {}, input, 1_000)
  await new Promise((resolve) => setTimeout(resolve, 100))
  closeSync(writer)
  expect(decode((await run).stdout)).toBe("said\n")
})

test("what is no program is refused", async () => {
  const path = join(directory, "broken")
  writeFileSync(path, "\u007fELF nonsense")
  chmodSync(path, 0o755)
  await expect(runProgram(path, {}, input, 1_000)).rejects.toMatchObject({
    code: "delegate-failed",
    message: expect.stringContaining(`Cannot run the delegated plugin ${path}`),
  })
})
