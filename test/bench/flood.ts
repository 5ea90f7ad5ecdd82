/** What one container waits for metadata and DNS while another floods the server. */
import { type ChildProcess, spawn } from "node:child_process"
import { connect } from "node:net"
import { join } from "node:path"
import { encode } from "dns-packet"
import type { Bench } from "./bench.ts"
import { names, ourServer, start } from "./dns.ts"
import type { Figure } from "./figure.ts"
import {
  answers,
  linesOf,
  load,
  objectsFile,
  pause,
  serve,
  startServer,
} from "./metadata_serving.ts"
import { summarize } from "./statistics.ts"

const ROUNDS = 6
/** Of one round and one state. */
const ASKS = 300
const ASK_EVERY_MS = 2
const FLOOD_SECONDS = 2.5
/** A flood is on, and what is done against it too. */
const FLOOD_BEGINS_MS = 1000
const START_MS = 10_000
const PATH = "/latest/containers/0/name"
const CONNECTIONS = 64

/** Bar of the issue. */
const MOST_SLOWDOWN = 2

/** Addresses that ask: two containers. */
const VICTIM = "127.0.0.2"
const FLOOD = "127.0.0.3"

/** A server, and another one of the same kind. */
interface Flooded {
  readonly name: string
  readonly here: number
  readonly elsewhere: number
  /** Milliseconds of answers to one who asks one at a time. */
  ask(port: number): Promise<number[]>
  /** @returns what it did, in words */
  flood(port: number): Promise<string>
}

/** Quantiles of one round in one state. */
interface Quantiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** Answers alone, beside a flood, and beside a flood of another server, which takes processors too. */
export async function flood(bench: Bench): Promise<Figure[]> {
  const running: ChildProcess[] = []
  const http: Flooded = {
    name: "metadata",
    here: 5321,
    elsewhere: 5322,
    ask: askHttp,
    flood: floodHttp,
  }
  const dns: Flooded = { name: "DNS", here: 5323, elsewhere: 5324, ask: askDns, flood: floodDns }
  try {
    const objects = objectsFile(bench, 20)
    for (const port of [http.here, http.elsewhere]) {
      running.push(startServer(serve(bench, objects, port)))
      await answers(port)
    }
    for (const port of [dns.here, dns.elsewhere]) {
      running.push(start(ourServer(bench, port)))
      await answersDns(port)
    }
    return [...(await beside(http)), ...(await beside(dns))]
  } finally {
    for (const child of running) child.kill("SIGKILL")
  }
}

async function beside(flooded: Flooded): Promise<Figure[]> {
  const { name, here, elsewhere } = flooded
  const found = { alone: [] as Quantiles[], here: [] as Quantiles[], elsewhere: [] as Quantiles[] }
  let said = ""
  for (let round = 0; round < ROUNDS; round++) {
    found.alone.push(quantiles(await flooded.ask(here)))
    for (const port of round % 2 === 0 ? [here, elsewhere] : [elsewhere, here]) {
      const flooding = flooded.flood(port)
      await pause(FLOOD_BEGINS_MS)
      found[port === here ? "here" : "elsewhere"].push(quantiles(await flooded.ask(here)))
      const words = await flooding
      if (port === here) said = words
    }
  }
  const of = (state: keyof typeof found, what: keyof Quantiles) =>
    summarize(found[state].map((one) => one[what]))
  const figure = (what: keyof Quantiles, state: "alone" | "elsewhere", other: string): Figure => ({
    name: `${name} beside another's flood, ${what}`,
    unit: "ms",
    ours: of("here", what),
    other: { name: other, summary: of(state, what) },
  })
  const bar = { of: "ratio", limit: MOST_SLOWDOWN } as const
  return [
    { ...figure("p50", "alone", "alone"), bar },
    { ...figure("p90", "alone", "alone"), bar, note: `${ASKS} questions a round; ${said}` },
    // The slowest waited for a processor, which a flood takes wherever it goes.
    figure("p99", "elsewhere", "flood of another server"),
  ]
}

function quantiles(times: readonly number[]): Quantiles {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (q: number) => sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

async function askHttp(port: number): Promise<number[]> {
  const socket = connect({ host: "127.0.0.1", port, localAddress: VICTIM, noDelay: true })
  const times: number[] = []
  for (let count = 0; count < ASKS; count++) {
    const started = performance.now()
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await new Promise((resolve) => socket.once("data", resolve))
    times.push(performance.now() - started)
    await pause(ASK_EVERY_MS)
  }
  socket.destroy()
  return times
}

async function floodHttp(port: number): Promise<string> {
  const base = { connections: CONNECTIONS, seconds: FLOOD_SECONDS, from: FLOOD }
  const { rate } = await load({ ...base, port, path: PATH, accept: "*/*" })
  return `${CONNECTIONS} connections flooded, and were answered ${Math.round(rate)} times a second`
}

/** A lost query counts as a second, as its client would wait. */
async function askDns(port: number): Promise<number[]> {
  let heard = (_: number): void => undefined
  const socket = await Bun.udpSocket({
    hostname: VICTIM,
    port: 0,
    connect: { hostname: "127.0.0.1", port },
    socket: { data: (_, bytes) => heard(bytes.readUInt16BE(0)) },
  })
  const times: number[] = []
  for (let id = 0; id < ASKS; id++) {
    const questions = [{ name: names()[id] ?? "", type: "A" }]
    const query = encode({ type: "query", id, flags: 0x0100, questions })
    const started = performance.now()
    await new Promise<void>((resolve) => {
      const lost = setTimeout(resolve, 1000)
      heard = (answered) => {
        if (answered !== id) return
        clearTimeout(lost)
        resolve()
      }
      socket.send(query)
    })
    times.push(performance.now() - started)
    await pause(ASK_EVERY_MS)
  }
  socket.close()
  return times
}

async function floodDns(port: number): Promise<string> {
  const script = join(import.meta.dirname, "dns_flood.ts")
  const argv = [script, `${port}`, FLOOD, `${FLOOD_SECONDS}`]
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] })
  const { sent, answered } = JSON.parse(await linesOf(child)())
  return `a flood of ${Math.round(sent)} queries a second was answered ${Math.round(answered)} times`
}

async function answersDns(port: number): Promise<void> {
  const deadline = Date.now() + START_MS
  const query = encode({ type: "query", id: 1, questions: [{ name: names()[0] ?? "", type: "A" }] })
  let isAnswered = false
  while (!isAnswered) {
    if (Date.now() > deadline) throw new Error(`nothing answers on port ${port}`)
    const socket = await Bun.udpSocket({
      connect: { hostname: "127.0.0.1", port },
      socket: {
        data: () => {
          isAnswered = true
        },
        error: () => undefined,
      },
    })
    socket.send(query)
    await pause(50)
    socket.close()
  }
}
