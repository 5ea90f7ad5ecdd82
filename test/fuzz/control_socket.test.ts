/** Clients of the control socket that do everything wrong: bytes, timing, and hanging up. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { MAX_REQUEST_BYTES } from "../../src/cni/protocol.ts"
import { waitFor } from "../clients/program.ts"
import { Lab, SEED_CONF } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"
import { brokenText } from "./mutate.ts"
import { detachAll, expectUnharmed, type Holdings, holdingsOf, useWell } from "./survivor.ts"

const CLIENTS = 2500
const WARM_UP = 300
const AT_ONCE = 16
const TIMEOUT_MS = 120_000
/** A request must be there after 10 s (src/agent/control/control_server.ts); then the agent hangs up. */
const REQUEST_TIMEOUT_MS = 10_000

/** How many the agent serves at once. */
const MAX_CONNECTIONS = 512

const NAMESPACE = "socket0"

let lab: Lab
let before: Holdings

beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "20ms" } })
  await lab.netns(NAMESPACE)
  await useWell(lab, NAMESPACE)
})

afterAll(() => lab.close())

test(
  `${CLIENTS} clients that send anything`,
  async () => {
    const random = Random.fromEnvironment()
    try {
      await clients(random, WARM_UP)
      before = holdingsOf(lab.pid)
      await clients(random, CLIENTS - WARM_UP)
      await detachAll(lab)
      await expectUnharmed(lab, before, [NAMESPACE])
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats this run`)
      console.error(lab.log.split("\n").slice(-30).join("\n"))
      throw error
    }
  },
  TIMEOUT_MS,
)

test("a request that is cut into single bytes is answered", async () => {
  const client = await Client.open()
  for (const byte of new TextEncoder().encode('{"op":"version"}\n')) {
    client.socket.write(Uint8Array.of(byte))
    await pause(1)
  }
  expect(JSON.parse(await client.rest())).toMatchObject({ ok: true })
})

test("a client that ends its side after the request is answered", async () => {
  const client = await Client.open()
  client.socket.end('{"op":"version"}\n')
  expect(JSON.parse(await client.rest())).toMatchObject({ ok: true })
})

test("a request that ends without a line end is refused", async () => {
  const client = await Client.open()
  client.socket.end('{"op":"version"}')
  expect(JSON.parse(await client.rest())).toMatchObject({ ok: false, code: "decode" })
})

test("the second request of a connection is not served", async () => {
  const client = await Client.open()
  client.socket.write('{"op":"version"}\n{"op":"endpoints"}\n')
  const answer = await client.rest()
  expect(answer.split("\n").length).toBe(2)
  expect(JSON.parse(answer)).toMatchObject({ value: { runtime: expect.any(String) } })
})

test("a request of the largest size is read, one that is larger is refused", async () => {
  const frame = '{"op":""}\n'
  const fits = await Client.open()
  fits.socket.write(`{"op":"${"x".repeat(MAX_REQUEST_BYTES - frame.length)}"}\n`)
  expect(JSON.parse(await fits.rest())).toMatchObject({ ok: false, code: "decode" })
  const larger = await Client.open()
  larger.socket.write("x".repeat(4 * MAX_REQUEST_BYTES))
  expect(await larger.rest()).toContain(`more than ${MAX_REQUEST_BYTES} bytes`)
})

test("a deep request does not exhaust the stack", async () => {
  for (const [open, close] of ["[]", '{"a":}'].map((text) => [text.slice(0, -1), text.slice(-1)])) {
    const client = await Client.open()
    client.socket.write(`${open?.repeat(100_000)}1${close?.repeat(100_000)}\n`)
    expect(JSON.parse(await client.rest())).toMatchObject({ ok: false, code: "decode" })
  }
})

test(
  "clients that never finish, never read or never hang up are let go in time",
  async () => {
    before = holdingsOf(lab.pid)
    const silent = await Promise.all(Array.from({ length: 60 }, () => Client.open()))
    for (const [index, { socket }] of silent.entries()) {
      if (index % 3 === 1) socket.write('{"op":"end')
      if (index % 3 === 2) socket.write('{"op":"version"}\n')
    }
    await waitFor("the agent to have taken them", () =>
      holdingsOf(lab.pid).fds > before.fds + 50 ? true : undefined,
    )
    // Meanwhile the others are served.
    await useWell(lab, NAMESPACE)
    await waitFor(
      "the agent to let them go",
      () => (holdingsOf(lab.pid).fds <= before.fds ? true : undefined),
      3 * REQUEST_TIMEOUT_MS,
    )
    for (const { socket } of silent) socket.destroy()
  },
  TIMEOUT_MS,
)

test("clients that only begin a request keep nobody out, however many", async () => {
  const crowd: Client[] = []
  for (let n = 0; n < 3 * MAX_CONNECTIONS; n++) {
    const client = await Client.open()
    client.socket.write('{"op":"cni",')
    crowd.push(client)
    if (n % 300 !== 299) continue
    // Long before the first of them is let go for its slowness.
    const begun = performance.now()
    await useWell(lab, NAMESPACE)
    expect(performance.now() - begun).toBeLessThan(REQUEST_TIMEOUT_MS / 2)
  }
  for (const { socket } of crowd) socket.destroy()
})

test("large requests are answered, as many as are in memory at once, or told to come again", async () => {
  const before = peakOf(lab.pid)
  const frame = '{"op":""}\n'
  const request = `{"op":"${"x".repeat(MAX_REQUEST_BYTES - frame.length)}"}\n`
  const clients = await Promise.all(Array.from({ length: 450 }, () => Client.open()))
  for (const { socket } of clients) socket.write(request)
  const answers = await Promise.all(clients.map((client) => client.rest()))
  const of = (words: string) => answers.filter((answer) => answer.includes(words)).length
  expect(of("this agent knows cni")).toBeGreaterThan(16)
  expect(of("this agent knows cni") + of('"code":"busy"')).toBe(clients.length)
  const grown = peakOf(lab.pid) - before
  // Most of it is what the kernel hands out at the first read of each.
  expect(Math.round(grown / 1e6)).toBeLessThan(300)
  await useWell(lab, NAMESPACE)
})

test("more clients than the agent takes are turned away, and it serves again", async () => {
  const crowd = await Promise.all(
    Array.from({ length: 700 }, () => Client.open().catch(() => undefined)),
  )
  const turnedAway = () => crowd.some((client) => client === undefined || client.ended)
  await waitFor("some to be turned away", () => turnedAway() || undefined)
  for (const client of crowd) client?.socket.destroy()
  await waitFor("the agent to notice", async () => {
    try {
      await useWell(lab, NAMESPACE)
      return true
    } catch {
      return undefined
    }
  })
})

/** The most memory that a process has had, bytes. */
function peakOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/** One connection; what comes back is kept. */
class Client {
  readonly socket: Socket
  ended = false
  #received = ""

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (chunk) => {
      this.#received += chunk
    })
    socket.on("error", () => undefined)
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.ended = true
      })
    }
  }

  static open(): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path: lab.socket, allowHalfOpen: true })
      socket.once("error", reject)
      socket.once("connect", () => {
        socket.off("error", reject)
        resolve(new Client(socket))
      })
    })
  }

  /** Everything until the agent ends its side. */
  rest(): Promise<string> {
    if (this.ended) return Promise.resolve(this.#received)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no end after ${this.#received}`)),
        2 * REQUEST_TIMEOUT_MS,
      )
      const done = () => {
        clearTimeout(timer)
        this.socket.destroy()
        resolve(this.#received)
      }
      this.socket.once("end", done)
      this.socket.once("close", done)
    })
  }
}

async function clients(random: Random, count: number): Promise<void> {
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (let index = 0; index < count / AT_ONCE; index++) await misbehave(random)
  })
  await Promise.all(workers)
}

/** One client: it may wait for an answer, and then must get one, or hang up somewhere. */
async function misbehave(random: Random): Promise<void> {
  const bytes = bytesToSend(random)
  const client = await Client.open()
  const { socket } = client
  const cut = random.chance(0.3) ? random.below(bytes.length + 1) : bytes.length
  for (let at = 0; at < cut; ) {
    const step = random.chance(0.7) ? cut : 1 + random.below(cut)
    socket.write(bytes.subarray(at, Math.min(cut, at + step)))
    at += step
    if (random.chance(0.2)) await pause(random.below(10))
  }
  if (random.chance(0.3)) {
    socket.destroy()
    return
  }
  const rest = client.rest()
  socket.end()
  const answer = await rest
  if (!answer.endsWith("\n")) throw new Error(`no whole answer: ${answer} to ${text(bytes)}`)
  const { ok, code } = JSON.parse(answer)
  if (ok === false && code === "internal") throw new Error(`${answer} to ${text(bytes)}`)
}

const REQUESTS = [
  ...['{"op":"version"}', '{"op":"status"}', '{"op":"endpoints"}', '{"op":"__proto__"}', "null"],
  ...["[]", '""', "1e999", "{}", '{"op":null}', '{"op":["cni"]}', '{"op":"toString"}', "\ufeff{}"],
  JSON.stringify({
    op: "cni",
    role: "bridge",
    env: { command: "ADD", containerId: "x", netns: "/run/netns/socket0", ifname: "eth0" },
    config: SEED_CONF,
  }),
]

function bytesToSend(random: Random): Uint8Array {
  if (random.chance(0.25)) {
    return Uint8Array.from([
      ...random.bytes(random.below(3000)),
      ...(random.chance(0.7) ? [10] : []),
    ])
  }
  const good = random.pick(REQUESTS)
  const line = random.chance(0.5) ? good : brokenText(random, good)
  return new TextEncoder().encode(`${line}\n`)
}

function text(bytes: Uint8Array): string {
  return JSON.stringify(new TextDecoder().decode(bytes))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
