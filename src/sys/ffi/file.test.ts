import { afterAll, expect, test } from "bun:test"
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { LariatError } from "../../errors.ts"
import { SystemError } from "./errno.ts"
import { readAllFd, readFile, writeFd, writeFileAtomic, writeProc } from "./file.ts"
import { libc } from "./libc.ts"

const directory = mkdtempSync(`${tmpdir()}/sys-file-`)
afterAll(() => rmSync(directory, { recursive: true }))

const O_NONBLOCK = 0o4000

function pipe(flags = 0): [read: number, write: number] {
  const fds = new Int32Array(2)
  libc.pipe2(new Uint8Array(fds.buffer), flags)
  return [fds[0] ?? -1, fds[1] ?? -1]
}

test("writeFd goes on when the pipe is full and readAllFd reads to the end", async () => {
  const [reader, writer] = pipe(O_NONBLOCK)
  const bytes = crypto.getRandomValues(new Uint8Array(60_000))
  const many = new Uint8Array(600_000).map((_, index) => bytes[index % bytes.length] ?? 0)
  const child = Bun.spawn(["sha256sum"], { stdin: reader, stdout: "pipe" })
  libc.close(reader)
  // Ten times what a pipe holds, and nonblocking: partial writes and EAGAIN are certain.
  writeFd(writer, many)
  libc.close(writer)
  const sum = new Bun.CryptoHasher("sha256").update(many).digest("hex")
  expect(await child.stdout.text()).toBe(`${sum}  -\n`)
})

test("readAllFd takes exactly the limit and refuses one byte more", () => {
  writeFileSync(`${directory}/ten`, "0123456789")
  expect(readFile(`${directory}/ten`, 10).length).toBe(10)
  expect(() => readFile(`${directory}/ten`, 9)).toThrow("more than 9 bytes")
  const [reader, writer] = pipe()
  libc.close(writer)
  expect(readAllFd(reader, 0).length).toBe(0)
  libc.close(reader)
})

test("readFile reads files whose size the kernel does not know", () => {
  expect(readFile("/proc/self/maps", 10_000_000).length).toBeGreaterThan(100)
})

test("a failing read or write is a SystemError", () => {
  expect(() => writeFd(-1, new Uint8Array(1))).toThrow(SystemError)
  expect(() => readAllFd(-1, 10)).toThrow(SystemError)
  expect(() => readFile(`${directory}/nothing`, 10)).toThrow("Cannot open")
  expect(() => writeProc("/proc/sys/kernel/no_such", "1")).toThrow(SystemError)
})

test("writeProc writes a value, and says which value the kernel refused", () => {
  const path = "/proc/self/oom_score_adj"
  const before = readFileSync(path, "utf8").trim()
  writeProc(path, before)
  expect(readFileSync(path, "utf8").trim()).toBe(before)
  expect(() => writeProc(path, "many")).toThrow(`write "many" to ${path}`)
})

test("writeFileAtomic replaces content, mode and links, and leaves nothing behind", () => {
  const path = `${directory}/state`
  writeFileAtomic(path, new TextEncoder().encode("one"), 0o600)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  writeFileAtomic(path, new TextEncoder().encode("two"), 0o666)
  expect(readFileSync(path, "utf8")).toBe("two")
  expect(statSync(path).mode & 0o777).toBe(0o666)
  writeFileSync(`${directory}/victim`, "untouched")
  symlinkSync(`${directory}/victim`, `${directory}/link`)
  writeFileAtomic(`${directory}/link`, new TextEncoder().encode("new"), 0o600)
  expect(readFileSync(`${directory}/victim`, "utf8")).toBe("untouched")
  expect(readFileSync(`${directory}/link`, "utf8")).toBe("new")
  expect(readdirSync(directory).filter((name) => name.startsWith("."))).toEqual([])
})

test("writeFileAtomic cleans up when it cannot replace", () => {
  const path = `${directory}/folder`
  expect(() => writeFileAtomic(`${path}/x`, new Uint8Array(1), 0o600)).toThrow(LariatError)
  Bun.spawnSync(["mkdir", "-p", `${path}/full`])
  expect(() => writeFileAtomic(path, new Uint8Array(1), 0o600)).toThrow("Cannot replace")
  expect(readdirSync(directory).filter((name) => name.startsWith("."))).toEqual([])
})
