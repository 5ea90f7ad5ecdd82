/** The metadata API over HTTP beside a bare server of the same runtime that answers a constant. */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { MetadataApi } from "../../src/metadata/metadata_api.ts"
import { Model } from "../../src/metadata/model.ts"
import { loadObjects, parseObjectsFile } from "../../src/metadata/objects_file.ts"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import type { Load } from "./http_load.ts"
import {
  answers,
  linesOf,
  load,
  objects,
  objectsFile,
  pause,
  serve,
  startServer,
  writeObjects,
} from "./metadata_serving.ts"
import { summarize } from "./statistics.ts"

const FEW = 20
const MANY = 1000
const LARGE = 10_000
const WAITERS = 5000
const AT_REST_MS = 1500
const WAKES = 5
const CONNECTIONS = 64
const ROUNDS = 5
const ROUND_SECONDS = 2
const CHANGES = 200
const MEBIBYTE = 1024 * 1024

/** Bars of the issue. */
const LEAST_SHARE = 0.6
const LEAST_LISTS = 50_000
const MOST_WAKE_MS = 100
const MOST_GROWTH_MB = 100
const MOST_CHANGE_MS = 1

const OURS = 5311
const BARE = 5312
const CROWD = 5313

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
    return [...(await rates()), ...(await wakes(ours.pid ?? 0, few)), ...changes()]
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
  host: "127.0.0.1",
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
    // A change soon after one that many were told of is gathered with the next ones.
    await pause(AT_REST_MS)
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
    now: () => performance.now(),
    schedule: () => () => undefined,
  })
  const gone = new AbortController().signal
  const ask = (target: string) =>
    api.fetch(new Request(`http://x${target}`), { address: "10.42.0.1", gone })
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

function rss(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}
