import { afterEach, describe, expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { discardDescriptors, storeDescriptor, takeDescriptors } from "./fd_store.ts"
import { libc } from "./ffi/libc.ts"
import { MessageBuffer, type ReceivedMessage } from "./net/message_header.ts"
import { unixSocketAddress } from "./net/socket_address.ts"

const before = process.env.NOTIFY_SOCKET
afterEach(() => {
  if (before === undefined) delete process.env.NOTIFY_SOCKET
  else process.env.NOTIFY_SOCKET = before
})

const MSG_DONTWAIT = 0x40
const O_CLOEXEC = 0o2000000

/** The message that a service manager gets when `send` runs. */
function received(send: () => boolean): { text: string; control: ReceivedMessage["control"] } {
  const path = `@lariat-fd-store-${process.pid}`
  const { bytes } = unixSocketAddress(path)
  const fd = libc.socket(1, 2, 0)
  expect(libc.bind(fd, bytes, bytes.length)).toBe(0)
  process.env.NOTIFY_SOCKET = path
  expect(send()).toBe(true)
  const message = new MessageBuffer(256).receive(fd, MSG_DONTWAIT)
  libc.close(fd)
  if (typeof message === "number") throw new Error(`errno ${message}`)
  return { text: new TextDecoder().decode(message.data), control: message.control }
}

function pipe(): [number, number] {
  const pair = new Int32Array(2)
  expect(libc.pipe2(new Uint8Array(pair.buffer), O_CLOEXEC)).toBe(0)
  return [pair[0] ?? -1, pair[1] ?? -1]
}

describe("the service manager", () => {
  test("gets a descriptor that works, with its name, and is not to watch it", () => {
    const [out, into] = pipe()
    const { text, control } = received(() => storeDescriptor("lariat-esp4", into))
    expect(text).toBe("FDSTORE=1\nFDNAME=lariat-esp4\nFDPOLL=0")
    const rights = control.find(({ level, type }) => level === 1 && type === 1)
    expect(rights?.data.length).toBe(4)
    const data = rights?.data ?? new Uint8Array(4)
    const given = new DataView(data.buffer, data.byteOffset).getInt32(0, true)
    expect(given).not.toBe(into)
    libc.close(into)
    expect(libc.write(given, Uint8Array.of(42), 1)).toBe(1)
    const byte = new Uint8Array(1)
    expect(libc.read(out, byte, 1)).toBe(1)
    expect(byte[0]).toBe(42)
    libc.close(given)
    libc.close(out)
  })

  test("is told what to close, without a descriptor", () => {
    const { text, control } = received(() => discardDescriptors("lariat-esp4"))
    expect(text).toBe("FDSTOREREMOVE=1\nFDNAME=lariat-esp4")
    expect(control).toEqual([])
  })

  test("need not be there, or alive", () => {
    delete process.env.NOTIFY_SOCKET
    expect(storeDescriptor("a", 0)).toBe(false)
    process.env.NOTIFY_SOCKET = "/no/such/socket"
    expect(storeDescriptor("a", 0)).toBe(false)
    expect(discardDescriptors("a")).toBe(false)
  })

  test.each(["", "a:b", "a b", "a\nREADY=1", "ä", "x".repeat(256)])("never hears %j", (name) => {
    expect(() => storeDescriptor(name, 0)).toThrow(LariatError)
    expect(() => discardDescriptors(name)).toThrow(LariatError)
  })
})

describe("what the service manager kept", () => {
  const take = (environment: Record<string, string | undefined>) => {
    const taken = takeDescriptors(environment)
    expect(Object.keys(environment).filter((key) => key.startsWith("LISTEN"))).toEqual([])
    return [...taken]
  }
  const pid = `${process.pid}`

  test("is nothing where the variables are missing, another's, or nonsense", () => {
    expect(take({})).toEqual([])
    expect(take({ LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_FDNAMES: "a" })).toEqual([])
    for (const count of ["x", "-1", "0", "", "1.5"]) {
      expect(take({ LISTEN_PID: pid, LISTEN_FDS: count })).toEqual([])
    }
  })

  test("comes by name, closed on exec, and once", () => {
    const module = new URL("./fd_store.ts", import.meta.url).pathname
    const code = `const { takeDescriptors } = await import(${JSON.stringify(module)})
      const { readFileSync } = await import("node:fs")
      process.env.LISTEN_PID = String(process.pid)
      const taken = [...takeDescriptors()]
      const cloexec = taken.flatMap(([, fds]) => fds).map((fd) =>
        /flags:\\s*0?(\\d+)/.exec(readFileSync("/proc/self/fdinfo/" + fd, "utf8"))[1])
      console.log(JSON.stringify({ taken, cloexec: cloexec.map((octal) => (parseInt(octal, 8) & 0o2000000) !== 0),
        again: takeDescriptors().size, left: process.env.LISTEN_FDS ?? "none" }))`
    const child = Bun.spawnSync([process.execPath, "-e", code], {
      env: {
        ...process.env,
        LISTEN_FDS: "4",
        LISTEN_FDNAMES: "lariat-esp4:lariat-esp6:lariat-esp4",
      },
      stdio: [
        "ignore",
        "pipe",
        "inherit",
        Bun.file("/dev/null"),
        Bun.file("/dev/null"),
        "pipe",
        "pipe",
      ],
    })
    expect(JSON.parse(child.stdout?.toString() ?? "")).toEqual({
      taken: [
        ["lariat-esp4", [3, 5]],
        ["lariat-esp6", [4]],
        ["unknown", [6]],
      ],
      cloexec: [true, true, true, true],
      again: 0,
      left: "none",
    })
  })
})
