/**
 * Broken queries and broken answers of other servers, by the ten thousand: each is answered by a
 * message that another reader of DNS can read, or not at all; nothing ends the server, and its
 * memory stays as it was.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { decode, encode, type Packet } from "dns-packet"
import { bindUdp, type UdpSocket } from "../../src/sys/net/udp.ts"
import { waitFor } from "../clients/program.ts"
import { lariatCommand } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"
import { holdingsOf } from "./survivor.ts"

const PACKETS = 100_000
/** Before memory is first counted: compilers and caches have what they want. */
const WARM_UP = 30_000
const STREAMS = 400
const AT_ONCE = 64
const TIMEOUT_MS = 120_000
/** The collector takes its time; packets kept would be 12 MB at least. */
const RSS_GROWTH = 24 * 1024 * 1024
const ANSWER_MS = 5000
const FLOOD_MS = 4000
/** More at a time than the server's queue holds. */
const FLOOD_BURST = 400
const LEAST_ANSWERED = 0.95

const OBJECTS = join(import.meta.dirname, "../fixtures/metadata/objects.json")
const NAMES = [
  ...["web.default.rancher.internal", "web", "ext.default", "alias.default.rancher.internal"],
  ...["_80._tcp.web.default.rancher.internal", "1.10.42.10.in-addr.arpa", "localhost", ""],
  ...["elsewhere.example", "other.example", "rancher.internal", "x".repeat(63)],
]
const TYPES = ["A", "AAAA", "MX", "SRV", "PTR", "TXT", "SOA", "CNAME", "NS"]

const GOOD: Packet = {
  type: "query",
  id: 1,
  flags: 0x0100,
  questions: [{ name: "web.default", type: "A" }],
}
/** Both bytes of the id of a query that only shows how far the server has read. */
const MARK = 0xa5
const LOST_MS = 200

let directory: string
let server: ChildProcess
let port: number
let upstream: UdpSocket
let random: Random

beforeAll(async () => {
  random = Random.fromEnvironment()
  directory = mkdtempSync(join(tmpdir(), "lariat-dns-"))
  // resolv.conf has no ports. Nothing else is in this network namespace.
  upstream = await bindUdp({ hostname: "127.0.0.53", port: 53 }, (bytes, from, address, send) =>
    send(brokenAnswer(bytes), from, address),
  )
  const resolvConf = join(directory, "resolv.conf")
  writeFileSync(resolvConf, "nameserver 127.0.0.53\n")
  const [program = "", ...args] = lariatCommand()
  const options = ["--objects", OBJECTS, "--listen", "127.0.0.1:0", "--resolv-conf", resolvConf]
  server = spawn(program, [...args, "dns", "serve", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let said = ""
  server.stdout?.on("data", (bytes) => {
    said += String(bytes)
  })
  port = Number(await waitFor("the port", () => /names on .*:(\d+)$/m.exec(said)?.[1]))
})

afterAll(() => {
  server.kill("SIGKILL")
  upstream.close()
  rmSync(directory, { recursive: true, force: true })
})

test(
  `${PACKETS} broken packets`,
  async () => {
    try {
      await throwPackets(WARM_UP)
      const before = holdingsOf(server.pid ?? 0)
      const answers = await throwPackets(PACKETS)
      expect(answers).toBeGreaterThan(PACKETS / 2)
      await expectAnswer()
      const after = holdingsOf(server.pid ?? 0)
      expect(after.rss - before.rss).toBeLessThan(RSS_GROWTH)
      await waitFor("sockets to be closed", () =>
        holdingsOf(server.pid ?? 0).fds <= before.fds + 2 ? true : undefined,
      )
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats this run`)
      throw error
    }
  },
  TIMEOUT_MS,
)

test(
  `${STREAMS} broken streams`,
  async () => {
    for (let index = 0; index < STREAMS; index += 8) {
      await Promise.all(Array.from({ length: 8 }, stream))
    }
    await expectAnswer()
  },
  TIMEOUT_MS,
)

test(
  "a flood from one address leaves the answers of another",
  async () => {
    const flooder = await bindUdp({ hostname: "127.0.0.2", port: 0 }, () => undefined)
    let answered = 0
    const other = await bindUdp({ hostname: "127.0.0.3", port: 0 }, () => {
      answered += 1
    })
    const flood = goodQuery("web.default")
    let asked = 0
    const end = performance.now() + FLOOD_MS
    // Until the server has seen that there is a flood, the queue is anybody's.
    const settled = performance.now() + FLOOD_MS / 4
    for (let round = 0; performance.now() < end; round++) {
      for (let n = 0; n < FLOOD_BURST; n++) flooder.send(flood, port, "127.0.0.1")
      if (performance.now() > settled && round % 8 === 0) {
        other.send(flood, port, "127.0.0.1")
        asked += 1
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    await waitFor("the last answers", () => (answered >= asked * LEAST_ANSWERED ? true : undefined))
    expect(asked).toBeGreaterThan(100)
    flooder.close()
    other.close()
  },
  TIMEOUT_MS,
)

/** @returns how many answers came */
async function throwPackets(count: number): Promise<number> {
  let answers = 0
  let answered = (): void => undefined
  const socket = await bindUdp({ hostname: "127.0.0.1", port: 0 }, (bytes) => {
    answers += 1
    expectWhole(bytes)
    if (bytes[0] === MARK && bytes[1] === MARK) answered()
  })
  for (let index = 0; index < count; index++) {
    socket.send(brokenQuery(), port, "127.0.0.1")
    if (index % AT_ONCE !== 0) continue
    // What was sent before this one's answer was read before it: the server's queue holds it all.
    const next = new Promise<void>((resolve) => {
      answered = resolve
    })
    const timer = setTimeout(answered, LOST_MS)
    socket.send(encode({ ...GOOD, id: (MARK << 8) | MARK }), port, "127.0.0.1")
    await next
    clearTimeout(timer)
  }
  socket.close()
  return answers
}

/** Throws where dns-packet cannot read an answer, or it is no answer. */
function expectWhole(bytes: Uint8Array): void {
  const packet = decode(Buffer.from(bytes))
  if (packet.type !== "response") throw new Error(`no answer: ${bytes.toHex()}`)
}

/** The server still does what it is there for. */
async function expectAnswer(): Promise<void> {
  const answer = Promise.withResolvers<Uint8Array>()
  const socket = await bindUdp({ hostname: "127.0.0.1", port: 0 }, (bytes) => answer.resolve(bytes))
  const timer = setTimeout(() => answer.reject(new Error("no answer")), ANSWER_MS)
  const again = setInterval(() => socket.send(goodQuery("web.default"), port, "127.0.0.1"), 100)
  try {
    const [record] = decode(Buffer.from(await answer.promise)).answers ?? []
    expect(record?.data).toBe("10.42.10.1")
  } finally {
    clearTimeout(timer)
    clearInterval(again)
    socket.close()
  }
}

function goodQuery(name: string): Uint8Array {
  return encode({ ...GOOD, questions: [{ name, type: "A" }] })
}

function brokenQuery(): Uint8Array {
  const additional = { type: "OPT", name: ".", udpPayloadSize: 1 + random.below(65_535), flags: 0 }
  const packet: Packet = {
    type: random.chance(0.95) ? "query" : "response",
    id: random.below(65_536),
    flags: 0x0100,
    questions: [{ name: random.pick(NAMES), type: random.pick(TYPES) }],
    additionals: random.chance(0.5) ? [{ ...additional, options: [] }] : [],
  }
  return damaged(encode(packet))
}

/** An answer that fits the query, and mostly is broken behind the question. */
function brokenAnswer(query: Uint8Array): Uint8Array {
  const { id, questions = [] } = decode(Buffer.from(query))
  const name = questions[0]?.name ?? ""
  const bytes = encode({
    type: "response",
    id: id ?? 0,
    flags: random.pick([0x0180, 0x0183, 0x0182, 0x0380]),
    questions,
    answers: [
      { name, type: "CNAME", ttl: random.below(3), data: "elsewhere.example" },
      { name: "elsewhere.example", type: "A", ttl: 1, data: "192.0.2.1" },
    ],
    authorities: [],
  })
  // Behind the question: our OPT record is 11 bytes.
  const end = query.length - 11
  if (random.chance(0.2)) return bytes
  return new Uint8Array([...bytes.subarray(0, end), ...damaged(bytes.subarray(end))])
}

/** Bytes overwritten, cut off, added, or pointers put in. */
function damaged(bytes: Uint8Array): Uint8Array {
  if (random.chance(0.05)) return random.bytes(random.below(600))
  let result = bytes.slice()
  for (let change = random.below(4); change > 0 && result.length > 0; change--) {
    const at = random.below(result.length)
    if (random.chance(0.3)) result.set([0xc0, random.below(64)].slice(0, result.length - at), at)
    else result[at] = random.below(256)
  }
  if (random.chance(0.1)) result = result.subarray(0, random.below(result.length + 1))
  if (random.chance(0.05)) result = new Uint8Array([...result, ...random.bytes(random.below(40))])
  return result
}

/** A connection with framed queries, some of them broken, cut anywhere. */
function stream(): Promise<void> {
  const messages = Array.from({ length: 1 + random.below(6) }, () => {
    const query = random.chance(0.5) ? goodQuery("web.default") : brokenQuery()
    const length = random.chance(0.9) ? query.length : random.below(65_536)
    return [length >> 8, length & 255, ...query]
  }).flat()
  const pieces = messages.slice(0, random.chance(0.2) ? random.below(messages.length) : undefined)
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port })
    const timer = setTimeout(() => socket.destroy(), 100)
    socket.on("error", () => undefined)
    socket.on("close", () => {
      clearTimeout(timer)
      resolve()
    })
    const cut = random.below(pieces.length + 1)
    socket.write(Uint8Array.from(pieces.slice(0, cut)))
    socket.write(Uint8Array.from(pieces.slice(cut)))
  })
}
