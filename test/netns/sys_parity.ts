/**
 * Exercises the whole of src/sys on a veth pair and prints what it saw as one JSON object. Run by
 * sys_parity.test.ts under Bun and under Deno; both must see the same.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { LariatError, messageOf } from "../../src/errors.ts"
import { AsyncWrite } from "../../src/sys/aio.ts"
import { bootId, monotonicMs } from "../../src/sys/clock.ts"
import { SystemError } from "../../src/sys/ffi/errno.ts"
import { readFile, writeFd, writeFileAtomic, writeProc } from "../../src/sys/ffi/file.ts"
import { libc } from "../../src/sys/ffi/libc.ts"
import { keepMapped } from "../../src/sys/ffi/pages.ts"
import { deadlineIn, POLLIN, waitFor } from "../../src/sys/ffi/poll.ts"
import { snapshotPages, touchedRanges } from "../../src/sys/ffi/touched_pages.ts"
import { startWorker } from "../../src/sys/ffi/worker.ts"
import { serveFetch } from "../../src/sys/http/fetch_server.ts"
import { sendFrame } from "../../src/sys/net/packet.ts"
import { unixSocketAddress } from "../../src/sys/net/socket_address.ts"
import { httpGet } from "../../src/sys/net/tcp.ts"
import { callUnix } from "../../src/sys/net/unix_client.ts"
import {
  createNetns,
  currentNetns,
  openIn,
  openNetns,
  pinNetns,
  sameNetns,
  socketIn,
  unpinNetns,
  withNetns,
} from "../../src/sys/netns/netns.ts"
import { sdNotify } from "../../src/sys/notify.ts"
import { selfCommand, spawnIn } from "../../src/sys/process.ts"
import { strayThreads } from "../../src/sys/stray_threads.ts"
import { requireTestNetns } from "./guard.ts"

const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8", timeout: 10_000 })
const NAME = "/run/netns/sysparity"
const [mode, argument = ""] = process.argv.slice(2)
/** This script under this runtime. */
const self = (...args: string[]) => [...selfCommand().slice(0, -1), import.meta.filename, ...args]

/** What a call throws: its code, and the errno where there is one. */
function failure(call: () => unknown): string {
  try {
    call()
    return "nothing"
  } catch (error) {
    if (error instanceof SystemError) return `${error.code} ${error.errnoName}`
    return error instanceof LariatError ? `${error.code} ${error.message}` : String(error)
  }
}

/** The child's part: an HTTP server and a unix server; says "ready" and the port. */
function serve(socketPath: string): void {
  const server = serveFetch(
    { hostname: "::", port: 0, maxBodyBytes: 10 },
    async ({ method, url }, { address }) => {
      const path = new URL(url).pathname
      if (path === "/throw") throw new Error("secret")
      return new Response(`${method} ${address} ${path}`)
    },
  )
  createServer((socket) => {
    socket.on("data", (data) => socket.end(`you said ${data}`))
  }).listen(socketPath, () => writeFd(1, encode(`${server.port}\n`)))
}

/** A child that cannot go home again, since all its descriptors are gone. */
function beLost(): void {
  withNetns(createNetns(), () => {
    for (let fd = 3; fd < 4096; fd++) libc.close(fd)
  })
  writeFd(1, encode("went on"))
}

function probeNetns(): Record<string, unknown> {
  const home = currentNetns()
  const made = createNetns()
  const other = createNetns()
  mkdirSync("/run/netns", { recursive: true })
  writeFileSync(NAME, "")
  const unpinned = failure(() => openNetns(NAME))
  pinNetns(made, NAME)
  const opened = openNetns(NAME)
  const inside: boolean[] = []
  withNetns(made, () => {
    inside.push(sameNetns(currentNetns(), made))
    withNetns(other, () => inside.push(sameNetns(currentNetns(), other)))
    inside.push(sameNetns(currentNetns(), made))
  })
  const results = {
    unpinned,
    created: !sameNetns(home, made) && !sameNetns(made, other),
    inode: BigInt(readlinkSync("/proc/self/ns/net").slice(5, -1)) === home.ino,
    opened: sameNetns(made, opened),
    inside,
    thrown: failure(() =>
      withNetns(made, () => {
        throw new Error("inside")
      }),
    ),
    asynchronous: failure(() => withNetns(made, async () => 1)).slice(0, 40),
    missing: failure(() => openNetns("/run/netns/none")),
    directory: failure(() => openNetns("/run/netns")),
    otherKind: failure(() => openNetns("/proc/self/ns/mnt")),
    noProcess: failure(() => openNetns("/proc/4194304/ns/net")),
    interfaces: decode(
      readFile("/proc/thread-self/net/dev", 65_536, (path, flags) => openIn(made, path, flags)),
    )
      .split("\n")
      .filter((line) => line.includes(":")).length,
    noFile: failure(() => openIn(made, "/proc/sys/net/none", 0)),
    noSocket: failure(() => socketIn(made, 16, 3, 99)),
    noNamespace: failure(() => socketIn({ ...made, fd: -1 }, 16, 3)),
    atHome: sameNetns(home, currentNetns()),
  }
  for (const netns of [home, made, other, opened]) netns.close()
  return results
}

function probeFrame(peerPath: string): string {
  const peer = openNetns(peerPath)
  // AF_PACKET, SOCK_RAW, the ethertype of local experiments (IEEE 802) in network order
  const tap = withNetns(peer, () => libc.socket(17, 3, 0xb588))
  const frame = new Uint8Array(60)
  frame.set([0x02, 0, 0, 0, 0x99, 0x02, 0x02, 0, 0, 0, 0x99, 0x01, 0x88, 0xb5, 1, 2, 3])
  // The kernel drops what comes before it has noticed that the link is up.
  for (let attempt = 0; attempt < 100; attempt++) {
    sendFrame(libc.if_nametoindex(encode("sysp0\0")), frame, 0x88b5)
    if (waitFor(tap, POLLIN, deadlineIn(50)) !== 0) break
  }
  const received = new Uint8Array(100)
  const count = libc.recv(tap, received, received.length, 0x40)
  libc.close(tap)
  peer.close()
  return received.subarray(0, Math.max(0, count)).toHex()
}

async function probeServers(directory: string): Promise<Record<string, unknown>> {
  const peer = openNetns(NAME)
  const socketPath = `${directory}/server.sock`
  const child = spawnIn(peer, self("serve", socketPath), { stdio: ["ignore", "pipe", "inherit"] })
  const exited = new Promise((resolve) => child.once("exit", resolve))
  const output = child.stdout
  if (output === null) throw new Error("no pipe")
  const port = Number(await new Promise((resolve) => output.once("data", resolve)))
  const get = (address: string, path: string, from?: string) => {
    const { status, body } = httpGet(address, port, path, from === undefined ? {} : { from })
    return `${status} ${decode(body)}`
  }
  const post = async (length: number) => {
    const body = "x".repeat(length)
    return (await fetch(`http://10.99.0.2:${port}/`, { method: "POST", body })).status
  }
  const results = {
    childNetns: readlinkSync(`/proc/${child.pid}/ns/net`) === `net:[${peer.ino}]`,
    four: get("10.99.0.2", "/"),
    six: get("fd00:99::2", "/", "fd00:99::1"),
    thrown: get("10.99.0.2", "/throw"),
    body: [await post(10), await post(11)],
    refused: failure(() => httpGet("10.99.0.2", 1, "/")),
    inside: withNetns(peer, () => get("127.0.0.1", "/")),
    unix: decode(callUnix(socketPath, encode("hello"), { timeoutMs: 5000 })),
    away: failure(() => callUnix(`${directory}/none`, encode("x"), { timeoutMs: 50 })).slice(0, 10),
  }
  child.kill("SIGKILL")
  await exited
  peer.close()
  return results
}

async function probeFiles(directory: string): Promise<Record<string, unknown>> {
  const path = `${directory}/file`
  writeFileAtomic(path, encode("content"), 0o640)
  writeProc("/proc/sys/net/ipv4/ip_forward", "1")
  const program = readlinkSync("/proc/self/exe")
  const touched = touchedRanges(snapshotPages(program))
  const kept = keepMapped(program, touched)
  const pair = new Int32Array(2)
  libc.socketpair(1, 1, 0, new Uint8Array(pair.buffer))
  const [near = -1, far = -1] = pair
  const written = await writeElsewhere(near, encode("blocking"))
  const received = new Uint8Array(20)
  const count = libc.recv(far, received, received.length, 0x40)
  const failed = await writeElsewhere(-1, encode("x"))
  const notify = libc.socket(1, 2, 0)
  const address = unixSocketAddress(`@sysparity-${process.pid}`).bytes
  libc.bind(notify, address, address.length)
  process.env.NOTIFY_SOCKET = `@sysparity-${process.pid}`
  const notified = sdNotify("READY=1")
  const state = new Uint8Array(20)
  const stateLength = libc.recv(notify, state, state.length, 0x40)
  const results = {
    content: decode(readFile(path, 7)),
    mode: (statSync(path).mode & 0o777).toString(8),
    limit: failure(() => readFile(path, 6)).slice(0, 20),
    forward: decode(readFile("/proc/sys/net/ipv4/ip_forward", 8)).trim(),
    refused: failure(() => writeProc("/proc/sys/net/ipv4/ip_forward", "no")),
    kept: kept > 0,
    written: [written, decode(received.subarray(0, count)), failed],
    notified: [notified, decode(state.subarray(0, Math.max(0, stateLength)))],
    clock:
      Math.abs(monotonicMs() - Number(decode(readFile("/proc/uptime", 99)).split(" ")[0]) * 1000) <
      1000,
    bootId: bootId().length,
  }
  for (const fd of [near, far, notify]) libc.close(fd)
  return results
}

/** "done", or why not. */
async function writeElsewhere(fd: number, bytes: Uint8Array): Promise<string> {
  try {
    const write = new AsyncWrite(fd, bytes)
    while (!write.isOver()) await new Promise((resolve) => setTimeout(resolve, 1))
    return "done"
  } catch (error) {
    return messageOf(error)
  }
}

function probeWorker(): Promise<unknown> {
  return new Promise((resolve) => {
    const heard: unknown[] = []
    const worker = startWorker<number, unknown>(
      new URL("./sys_parity_worker.ts", import.meta.url),
      {
        onMessage(message) {
          heard.push(message)
          worker.post(heard.length === 1 ? 21 : 0)
        },
        onError(error) {
          heard.push(error.message.includes("no zero"))
          worker.terminate()
          resolve(heard)
        },
      },
    )
  })
}

async function probeAll(): Promise<void> {
  requireTestNetns()
  const directory = mkdtempSync(`${tmpdir()}/sys-parity-`)
  try {
    const netns = probeNetns()
    ip("link", "add", "sysp0", "type", "veth", "peer", "name", "sysp1", "netns", "sysparity")
    ip("addr", "add", "10.99.0.1/24", "dev", "sysp0")
    ip("addr", "add", "fd00:99::1/64", "dev", "sysp0", "nodad")
    ip("link", "set", "sysp0", "up")
    for (const args of [
      ["addr", "add", "10.99.0.2/24", "dev", "sysp1"],
      ["addr", "add", "fd00:99::2/64", "dev", "sysp1", "nodad"],
      ["link", "set", "lo", "up"],
      ["link", "set", "sysp1", "address", "02:00:00:00:99:02", "up"],
    ]) {
      ip("-n", "sysparity", ...args)
    }
    const results = {
      netns,
      frame: probeFrame(NAME),
      servers: await probeServers(directory),
      files: await probeFiles(directory),
      worker: await probeWorker(),
    }
    writeFd(1, encode(`${JSON.stringify(results)}\n`))
  } finally {
    rmSync(directory, { recursive: true })
    unpinNetns(NAME)
    rmSync(NAME)
  }
}

/** Names the thread of the HTTP client, to which a stay gives birth. */
async function beStray(): Promise<void> {
  const netns = createNetns()
  const request = withNetns(netns, () => ({
    done: fetch("http://localhost/", { unix: "/no/socket" } as RequestInit).catch(() => undefined),
  }))
  await request.done
  const strays = strayThreads().map(
    (thread) => `${thread.name} ${thread.netns === `net:[${netns.ino}]`}`,
  )
  writeFd(1, encode(strays.filter((line) => line.startsWith("HTTP")).join()))
  process.exit(0)
}

if (mode === "serve") serve(argument)
else if (mode === "stray") await beStray()
else if (mode === "lost") beLost()
else {
  await probeAll()
  process.exit(0)
}
