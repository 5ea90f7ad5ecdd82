/** `lariat dns serve` as a whole: both transports, who is answered, files that change. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { decode, encode, type Packet } from "dns-packet"
import { bindUdp, type UdpSocket } from "../../src/sys/net/udp.ts"
import { run, waitFor } from "../clients/program.ts"
import { lariatCommand } from "./lab.ts"

const OBJECTS = join(import.meta.dirname, "../fixtures/metadata/objects.json")
const SERVER = "169.254.169.250"
const PORT = 53
const MEMBER = "10.42.10.1"
const STRANGER = "198.51.100.7"
const UPSTREAM = "127.0.0.53"
/** The server hears of a changed resolv.conf within a second. */
const PATIENCE_MS = 5000

let directory: string
let server: ChildProcess
let upstream: UdpSocket

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "lariat-dns-"))
  cpSync(OBJECTS, join(directory, "objects.json"))
  writeFileSync(join(directory, "resolv.conf"), "")
  await run(["ip", "address", "add", `${SERVER}/32`, "dev", "lo"])
  // A container of this host, as far as the server can tell, and somebody from elsewhere: routed
  // here, but none of the host's addresses.
  await run(["ip", "address", "add", `${MEMBER}/32`, "dev", "lo"])
  await run(["ip", "route", "add", "local", `${STRANGER}/32`, "dev", "lo"])
  upstream = await bindUdp({ hostname: UPSTREAM, port: PORT }, (bytes, port, address, send) =>
    send(elsewhere(bytes), port, address),
  )
  const [program = "", ...args] = lariatCommand()
  const files = ["--objects", "objects.json", "--resolv-conf", "resolv.conf"]
  server = spawn(program, [...args, "dns", "serve", ...files, "--listen", `${SERVER}:${PORT}`], {
    cwd: directory,
    stdio: ["ignore", "pipe", "inherit"],
  })
  let said = ""
  server.stdout?.on("data", (bytes) => {
    said += String(bytes)
  })
  await waitFor("DNS to listen", () => /names on/.exec(said) ?? undefined)
})

afterAll(() => {
  server.kill("SIGKILL")
  upstream.close()
  rmSync(directory, { recursive: true, force: true })
})

/** The answer of the server elsewhere to whatever it is asked. */
function elsewhere(query: Uint8Array): Uint8Array {
  const { id = 0, questions = [] } = decode(Buffer.from(query))
  const name = questions[0]?.name ?? ""
  const answers = [{ name, type: "A", ttl: 0, data: "192.0.2.99" }]
  return encode({ type: "response", id, flags: 0x0180, questions, answers })
}

function query(name: string, type: string): Uint8Array {
  return encode({ type: "query", id: 9, flags: 0x0100, questions: [{ name, type }] })
}

/** One query over UDP; undefined without an answer. */
async function ask(name: string, type = "A", from = MEMBER, waitMs = PATIENCE_MS) {
  const answer = Promise.withResolvers<Packet | undefined>()
  const socket = await bindUdp({ hostname: from, port: 0 }, (bytes) =>
    answer.resolve(decode(Buffer.from(bytes))),
  )
  const timer = setTimeout(() => answer.resolve(undefined), waitMs)
  socket.send(query(name, type), PORT, SERVER)
  try {
    return await answer.promise
  } finally {
    clearTimeout(timer)
    socket.close()
  }
}

function askTcp(name: string, localAddress: string): Promise<Packet | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: SERVER, port: PORT, localAddress })
    const message = query(name, "A")
    let received = Buffer.alloc(0)
    socket.on("connect", () => socket.write(Uint8Array.from([0, message.length, ...message])))
    socket.on("error", () => resolve(undefined))
    socket.on("close", () => resolve(undefined))
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, Buffer.from(bytes)])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      resolve(decode(received.subarray(2)))
      socket.destroy()
    })
  })
}

function dataOf(packet: Packet | undefined): unknown {
  return packet?.answers?.[0]?.data
}

test("a container is answered over both transports, with its own links and search", async () => {
  expect(dataOf(await ask("mydb"))).toBe("10.42.10.3")
  expect(dataOf(await askTcp("mydb", MEMBER))).toBe("10.42.10.3")
  expect(dataOf(await ask("mydb.default.rancher.internal"))).toBe("10.42.10.3")
  expect(dataOf(await ask("1.10.42.10.in-addr.arpa", "PTR"))).toBe("default-web-1.rancher.internal")
})

test("somebody from elsewhere gets nothing", async () => {
  expect(await ask("web.default.rancher.internal", "A", STRANGER, 300)).toBeUndefined()
  expect(await askTcp("web.default.rancher.internal", STRANGER)).toBeUndefined()
})

test("other names are asked of the servers that resolv.conf names, as it changes", async () => {
  expect((await ask("example.com"))?.rcode).toBe("SERVFAIL")
  // Replaced by renaming, as most programs do.
  writeFileSync(join(directory, "new"), `nameserver ${UPSTREAM}\n`)
  renameSync(join(directory, "new"), join(directory, "resolv.conf"))
  const found = await waitFor("resolv.conf to be read", async () =>
    dataOf(await ask("example.com")),
  )
  expect(found).toBe("192.0.2.99")
})

const SLOW_CLIENTS = 16
const EACH = 32
/** Longer than a message may take to come, and than its connection may be silent. */
const LET_GO_MS = 30_000

test(`${SLOW_CLIENTS} clients of ${EACH} connections that send a byte a second keep nobody out`, async () => {
  const slow: Socket[] = []
  for (let client = 1; client <= SLOW_CLIENTS; client++) {
    for (let count = 0; count < EACH; count++) {
      const socket = connect({ host: SERVER, port: PORT, localAddress: `127.0.1.${client}` })
      socket.on("error", () => undefined)
      await new Promise((resolve) => socket.once("connect", resolve))
      slow.push(socket)
    }
  }
  // A message of 256 bytes that takes as many seconds.
  const trickle = setInterval(() => {
    for (const socket of slow) socket.write(Uint8Array.of(1))
  }, 1000)
  await new Promise((resolve) => setTimeout(resolve, 2000))
  expect(dataOf(await askTcp("mydb", MEMBER))).toBe("10.42.10.3")
  expect(slow.filter((socket) => socket.closed).length).toBeLessThan(SLOW_CLIENTS)
  const areClosed = () => (slow.every(({ closed }) => closed) ? true : undefined)
  await waitFor("slow ones to be let go", areClosed, LET_GO_MS)
  clearInterval(trickle)
}, 60_000)

test("SIGHUP reads the objects again; broken ones change nothing", async () => {
  const path = join(directory, "objects.json")
  const objects: { name?: string }[] = JSON.parse(readFileSync(path, "utf8"))
  const renamed = objects.map((one) =>
    one.name === "standalone" ? { ...one, name: "alone" } : one,
  )
  writeFileSync(path, "[{}]")
  server.kill("SIGHUP")
  expect(dataOf(await ask("standalone"))).toBe("10.42.10.9")
  writeFileSync(path, JSON.stringify(renamed))
  server.kill("SIGHUP")
  const found = await waitFor("the new name", async () =>
    dataOf(await ask("alone.rancher.internal")),
  )
  expect(found).toBe("10.42.10.9")
  expect((await ask("standalone.rancher.internal"))?.rcode).toBe("NXDOMAIN")
})

test("SIGTERM ends it well", async () => {
  const ended = new Promise((resolve) => server.once("exit", resolve))
  server.kill("SIGTERM")
  expect(await ended).toBe(0)
})
