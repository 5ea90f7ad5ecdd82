import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { LariatError } from "../../errors.ts"
import { libc } from "../ffi/libc.ts"
import { unixSocketAddress } from "./socket_address.ts"
import { callUnix } from "./unix_client.ts"

const directory = mkdtempSync(`${tmpdir()}/sys-unix-`)
const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** callUnix blocks this thread, so the server is another process. */
const SERVER = `
const { createServer } = require("node:net")
createServer((socket) => {
  socket.on("error", () => {})
  let text = ""
  socket.on("data", (data) => {
    text += data
    if (!text.endsWith("\\n")) return
    if (text.startsWith("echo")) socket.end(text.toUpperCase())
    if (text.startsWith("large")) socket.end(Buffer.alloc(300000, "x"))
    if (text.startsWith("rude")) socket.end()
    if (text.startsWith("drip")) setInterval(() => socket.write("."), 20)
  })
}).listen(process.argv[1], () => console.log("ready"))
`
const path = `${directory}/server.sock`
let server: Bun.Subprocess<"ignore", "pipe", "inherit">

beforeAll(async () => {
  server = Bun.spawn([process.execPath, "-e", SERVER, path], { stdout: "pipe", stderr: "inherit" })
  await server.stdout.getReader().read()
})
afterAll(() => {
  server.kill()
  rmSync(directory, { recursive: true })
})

function failure(socket: string, request: Uint8Array, options: Parameters<typeof callUnix>[2]) {
  try {
    callUnix(socket, request, options)
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
  throw new Error("callUnix did not throw")
}

test("one question, one answer", () => {
  expect(decode(callUnix(path, encode("echo this\n"), { timeoutMs: 5000 }))).toBe("ECHO THIS\n")
})

test("a request and an answer larger than any socket buffer", () => {
  const request = encode(`echo ${"y".repeat(900_000)}\n`)
  expect(callUnix(path, request, { timeoutMs: 5000 }).length).toBe(request.length)
})

test("a request or an answer over its limit is refused", () => {
  const options = { timeoutMs: 5000, maxRequestBytes: 9, maxResponseBytes: 1000 }
  expect(failure(path, encode("0123456789"), options).message).toContain("10 bytes, more than 9")
  expect(failure(path, encode("large\n"), options).message).toContain("exceeds 1000 bytes")
  expect(failure(path, encode("large\n"), options).code).toBe("io")
})

test("nobody there, nobody listening, and no socket: the agent is away", () => {
  writeFileSync(`${directory}/plain`, "")
  const stale = `${directory}/stale.sock`
  const fd = libc.socket(1, 1, 0)
  const address = unixSocketAddress(stale).bytes
  libc.bind(fd, address, address.length)
  libc.close(fd)
  for (const socket of [`${directory}/none`, `${directory}/plain`, `${directory}/plain/x`, stale]) {
    const error = failure(socket, encode("x\n"), { timeoutMs: 1000 })
    expect(error.code).toBe("agent-away")
    expect(error.message).toContain(socket)
    expect(error.hint).toContain("systemctl status lariat")
  }
})

test("a server that closes without a word is away", () => {
  expect(failure(path, encode("rude\n"), { timeoutMs: 5000 }).code).toBe("agent-away")
})

test("the time limit holds for the whole call: silence, dripping, and a full backlog", () => {
  for (const request of ["silence\n", "drip\n"]) {
    const error = failure(path, encode(request), { timeoutMs: 100 })
    expect(error.code).toBe("agent-away")
    expect(error.message).toContain("within 100 ms")
  }
  const full = `${directory}/full.sock`
  const listener = libc.socket(1, 1, 0)
  const address = unixSocketAddress(full).bytes
  libc.bind(listener, address, address.length)
  libc.listen(listener, 0)
  const first = libc.socket(1, 1, 0)
  libc.connect(first, address, address.length)
  const error = failure(full, encode("x\n"), { timeoutMs: 50 })
  expect(error.code).toBe("agent-away")
  expect(error.message).toContain("took no call within 50 ms")
  libc.close(first)
  libc.close(listener)
})

test("a path the kernel cannot take is explained", () => {
  expect(failure(`/${"x".repeat(200)}`, encode("x"), { timeoutMs: 10 }).message).toContain("107")
})

test("no descriptor is left open", () => {
  const open = () =>
    Array.from(new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })).length
  const before = open()
  for (let call = 0; call < 50; call++) failure(`${directory}/none`, encode("x"), { timeoutMs: 10 })
  for (let call = 0; call < 50; call++) callUnix(path, encode("echo\n"), { timeoutMs: 5000 })
  expect(open()).toBe(before)
})
