/** The metadata API over HTTP beside a bare server of the same runtime that answers a constant. */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { MetadataApi } from "../../src/metadata/metadata_api.ts"
import { Model } from "../../src/metadata/model.ts"
import { loadObjects, parseObjectsFile } from "../../src/metadata/objects_file.ts"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import type { Load, LoadResult } from "./http_load.ts"
import { summarize } from "./statistics.ts"

const FEW = 20
const MANY = 1000
const LARGE = 10_000
const WAITERS = 5000
const WAKES = 5
const CONNECTIONS = 64
const ROUNDS = 5
const ROUND_SECONDS = 2
const CHANGES = 200
const ASKS = 400
const START_MS = 10_000
const MEBIBYTE = 1024 * 1024

/** Bars of the issue. */
const LEAST_SHARE = 0.8
const LEAST_LISTS = 50_000
const MOST_WAKE_MS = 100
const MOST_GROWTH_MB = 100
const MOST_CHANGE_MS = 1
const MOST_SLOWDOWN = 2

const OURS = 5311
const BARE = 5312
const CROWD = 5313

/** Addresses that ask: two containers. */
const VICTIM = "127.0.0.2"
const FLOOD = "127.0.0.3"

/** All figures of the API. */
export async function metadata(bench: Bench): Promise<Figure[]> {
  const few = objectsFile(bench, FEW)
  const running: ChildProcess[] = []
  const start = async (argv: readonly string[], port: number) => {
    const child = startServer(argv)
    running.push(child)
    await answers(port)
    return child
  }
  try {
    await start(
      [process.execPath, join(import.meta.dirname, "bare_http.ts"), `${BARE}`, "web-1"],
      BARE,
    )
    const ours = await start(serve(bench, few, OURS), OURS)
    await start(serve(bench, objectsFile(bench, MANY), CROWD), CROWD)
    return [
      ...(await rates()),
      await slowdown(),
      ...(await wakes(ours.pid ?? 0, few)),
      ...changes(),
    ]
  } finally {
    for (const child of running) child.kill("SIGKILL")
  }
}

/** Requests a second of a scalar, of lists, and of the bare server, in turns. */
async function rates(): Promise<Figure[]> {
  const loads = {
    scalar: { port: OURS, path: "/latest/containers/0/name", accept: "text/plain" },
    bare: { port: BARE, path: "/", accept: "text/plain" },
    few: { port: OURS, path: "/latest/containers", accept: "application/json" },
    many: { port: CROWD, path: "/latest/containers", accept: "application/json" },
  }
  const found: Record<keyof typeof loads, number[]> = { scalar: [], bare: [], few: [], many: [] }
  for (let round = 0; round < ROUNDS; round++) {
    const names = Object.keys(loads) as (keyof typeof loads)[]
    for (const name of round % 2 === 0 ? names : names.reverse()) {
      found[name].push((await load({ ...BASE, ...loads[name] })).rate)
    }
  }
  const summaries = {
    scalar: summarize(found.scalar),
    bare: summarize(found.bare),
    few: summarize(found.few),
    many: summarize(found.many),
  }
  const other = { name: "bare Bun.serve", summary: summaries.bare }
  return [
    {
      name: "metadata, a scalar",
      unit: "req/s",
      ours: summaries.scalar,
      other,
      bar: { of: "ratio", limit: LEAST_SHARE, is: "least" },
      note: `${CONNECTIONS} connections without pipelining, from another process of the same machine`,
    },
    {
      name: `metadata, ${FEW} containers in JSON`,
      unit: "req/s",
      ours: summaries.few,
      other,
      bar: { of: "value", limit: LEAST_LISTS, is: "least" },
    },
    { name: `metadata, ${MANY} containers in JSON`, unit: "req/s", ours: summaries.many, other },
  ]
}

const BASE: Omit<Load, "port" | "path" | "accept"> = {
  connections: CONNECTIONS,
  seconds: ROUND_SECONDS,
  from: "127.0.0.1",
}

/** One container's answers alone, and beside another's flood. */
async function slowdown(): Promise<Figure> {
  const path = "/latest/containers/0/name"
  const alone = await askOneByOne(ASKS)
  const flood = load({ ...BASE, port: OURS, path, accept: "*/*", seconds: 4, from: FLOOD })
  await pause(1500)
  const beside = await askOneByOne(ASKS)
  const { rate } = await flood
  return {
    name: "metadata, beside another's flood",
    unit: "ms",
    ours: summarize(beside),
    other: { name: "alone", summary: summarize(alone) },
    bar: { of: "ratio", limit: MOST_SLOWDOWN },
    note: `the flood, ${CONNECTIONS} connections, was answered ${Math.round(rate)} times a second`,
  }
}

/** Milliseconds of answers to one connection that asks one at a time, a little apart. */
async function askOneByOne(count: number): Promise<number[]> {
  const socket = connect({ host: "127.0.0.1", port: OURS, localAddress: VICTIM, noDelay: true })
  const times: number[] = []
  for (let index = 0; index < count; index++) {
    const started = performance.now()
    socket.write("GET /latest/containers/1/name HTTP/1.1\r\nHost: x\r\n\r\n")
    await new Promise((resolve) => socket.once("data", resolve))
    times.push(performance.now() - started)
    await pause(2)
  }
  socket.destroy()
  return times
}

/** From the signal to the last of all waiting requests' answers, and what they cost to hold. */
async function wakes(pid: number, file: string): Promise<Figure[]> {
  const times: number[] = []
  const growths: number[] = []
  for (let wake = 0; wake < WAKES; wake++) {
    const before = rss(pid)
    const waiters = spawn(
      process.execPath,
      [join(import.meta.dirname, "waiters.ts"), `${OURS}`, `${WAITERS}`],
      { stdio: ["ignore", "pipe", "inherit"] },
    )
    const lines = linesOf(waiters)
    await lines()
    await pause(300)
    growths.push((rss(pid) - before) / MEBIBYTE)
    writeObjects(file, FEW, { serial: wake })
    const changed = performance.timeOrigin + performance.now()
    process.kill(pid, "SIGHUP")
    times.push(Number(await lines()) - changed)
    waiters.kill("SIGKILL")
    await pause(200)
  }
  return [
    {
      name: `metadata, ${WAITERS} waiting requests woken`,
      unit: "ms",
      ours: summarize(times),
      bar: { of: "value", limit: MOST_WAKE_MS },
      note: "from SIGHUP, with the file read again, until the last of them has its answer",
    },
    {
      name: `metadata, RSS for ${WAITERS} waiting requests`,
      unit: "MB",
      ours: summarize(growths.slice(0, 1)),
      bar: { of: "value", limit: MOST_GROWTH_MB },
    },
  ]
}

/** A change in a large model whose version somebody waits for, and the next question answered. */
function changes(): Figure[] {
  const model = new Model()
  loadObjects(model, parseObjectsFile("bench", JSON.stringify(objects(LARGE, {}))))
  const api = new MetadataApi({
    model,
    mayAsk: () => true,
    newVersion: () => crypto.randomUUID(),
    schedule: () => () => undefined,
  })
  const ask = (target: string) =>
    api.answer(
      { method: "GET", target, header: () => undefined, signal: new AbortController().signal },
      "10.42.0.1",
    )
  const times: number[] = []
  for (let change = 0; change < CHANGES; change++) {
    void ask("/latest/version?wait=true&value=none")
    const container = model.container(`c${(change * 37) % LARGE}`)
    if (container === undefined) throw new Error("the model lacks its containers")
    const started = performance.now()
    model.put({ ...container, state: change % 2 === 0 ? "stopped" : "starting" })
    void ask("/latest/self/container/name")
    times.push(performance.now() - started)
  }
  return [
    {
      name: `metadata, a change among ${LARGE} containers`,
      unit: "ms",
      ours: summarize(times),
      bar: { of: "value", limit: MOST_CHANGE_MS },
      note: "applied, and a container's next question about itself answered",
    },
  ]
}

function objects(count: number, labels: Readonly<Record<string, number>>): object[] {
  const containers = Array.from({ length: count }, (_, index) => ({
    metadata_kind: "container",
    uuid: `c${index}`,
    name: `web-${index}`,
    state: "running",
    primary_ip: `10.42.${index >> 8}.${index & 255}`,
    ips: [`10.42.${index >> 8}.${index & 255}`],
    labels: { "io.rancher.stack.name": "bench", "io.rancher.stack_service.name": "bench/web" },
    host_uuid: "h1",
    external_id: `${index}`.padStart(64, "0"),
  }))
  const host = {
    metadata_kind: "host",
    uuid: "h1",
    name: "host1",
    labels: Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, `${value}`])),
  }
  return [host, ...containers]
}

function writeObjects(file: string, count: number, labels: Readonly<Record<string, number>>): void {
  writeFileSync(file, JSON.stringify(objects(count, labels)))
}

function objectsFile({ directory }: Bench, count: number): string {
  const file = join(directory, `objects-${count}.json`)
  writeObjects(file, count, {})
  return file
}

function serve({ command }: Bench, file: string, port: number): string[] {
  return [...command, "metadata", "serve", "--objects", file, "--listen", `127.0.0.1:${port}`]
}

function startServer([program = "", ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] })
}

/** Waits until a server answers. @throws Error when it does not in time */
async function answers(port: number): Promise<void> {
  const deadline = Date.now() + START_MS
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
    if (response?.ok === true) return
    if (Date.now() > deadline) throw new Error(`nothing answers on port ${port}`)
    await pause(20)
  }
}

async function load(what: Load): Promise<LoadResult> {
  const script = join(import.meta.dirname, "http_load.ts")
  const child = spawn(process.execPath, [script, JSON.stringify(what)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  return JSON.parse(await linesOf(child)())
}

/** Gives one line after the other of what a program says. @throws Error when there is none left */
function linesOf(child: ChildProcess): () => Promise<string> {
  const lines: string[] = []
  let rest = ""
  let wake = (): void => undefined
  let ended = false
  child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
    const parts = (rest + piece).split("\n")
    rest = parts.pop() ?? ""
    lines.push(...parts)
    wake()
  })
  child.on("close", () => {
    ended = true
    wake()
  })
  return async () => {
    for (;;) {
      const line = lines.shift()
      if (line !== undefined) return line
      if (ended) throw new Error("a program of the benchmark ended early")
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}

function rss(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
