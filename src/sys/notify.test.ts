import { afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { libc } from "./ffi/libc.ts"
import { unixSocketAddress } from "./net/socket_address.ts"
import { sdNotify } from "./notify.ts"

const before = process.env.NOTIFY_SOCKET
afterEach(() => {
  if (before === undefined) delete process.env.NOTIFY_SOCKET
  else process.env.NOTIFY_SOCKET = before
})

/** What a service manager listening at `path` gets when `send` runs. */
function received(path: string, send: () => boolean): string {
  const fd = libc.socket(1, 2, 0)
  const address = unixSocketAddress(path).bytes
  expect(libc.bind(fd, address, address.length)).toBe(0)
  process.env.NOTIFY_SOCKET = path
  expect(send()).toBe(true)
  const bytes = new Uint8Array(256)
  const count = libc.recv(fd, bytes, bytes.length, 0x40)
  libc.close(fd)
  return new TextDecoder().decode(bytes.subarray(0, count))
}

test("READY=1 arrives at a path and at an abstract name", () => {
  const directory = mkdtempSync(`${tmpdir()}/sys-notify-`)
  expect(received(`${directory}/s`, () => sdNotify("READY=1"))).toBe("READY=1")
  rmSync(directory, { recursive: true })
  expect(received(`@lariat-test-${process.pid}`, () => sdNotify("STATUS=ä\nWATCHDOG=1"))).toBe(
    "STATUS=ä\nWATCHDOG=1",
  )
})

test("without a service manager, with a dead one or with nonsense it is a silent no-op", () => {
  delete process.env.NOTIFY_SOCKET
  expect(sdNotify("READY=1")).toBe(false)
  for (const path of ["", "@", "/no/such/socket", "vsock:2:1234", `/${"x".repeat(200)}`]) {
    process.env.NOTIFY_SOCKET = path
    expect(sdNotify("READY=1")).toBe(false)
  }
})
