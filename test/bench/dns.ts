/** Queries for 1,000 names, 64 in flight, of our DNS and of dnsmasq, in turns. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import { summarize } from "./statistics.ts"

const NAMES = 1000
const IN_FLIGHT = 64
const ROUNDS = 5
const ROUND_SECONDS = 2
const WARM_UP_SECONDS = 1
const START_MS = 10_000
const SECOND_NS = 1e9

/** The least of dnsmasq's queries per second that we are to reach, and the least at all. */
const LEAST_SHARE = 0.6
const LEAST_RATE = 100_000

interface Contender {
  readonly name: string
  readonly port: number
  readonly argv: readonly string[]
}

/** One round of one side. */
interface Round {
  /** Nanoseconds from one answer to the next. */
  readonly perQuery: number
  /** Milliseconds. */
  readonly p99: number
}

/** dnsperf asks both from one socket; each query's time is in its verbose output. */
export async function dns(bench: Bench): Promise<Figure[]> {
  const queries = join(bench.directory, "queries")
  writeFileSync(
    queries,
    names()
      .map((name) => `${name} A\n`)
      .join(""),
  )
  const ours: Contender = { name: "lariat", port: 5301, argv: ourServer(bench, 5301) }
  const peer: Contender = { name: "dnsmasq", port: 5302, argv: dnsmasq(bench, 5302) }
  const running: ChildProcess[] = []
  const rounds = new Map<Contender, Round[]>([
    [ours, []],
    [peer, []],
  ])
  try {
    for (const { argv } of [ours, peer]) running.push(start(argv))
    for (const contender of [ours, peer]) {
      await answers(contender, bench.directory)
      ask(contender, queries, WARM_UP_SECONDS)
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const contender of round % 2 === 0 ? [ours, peer] : [peer, ours]) {
        rounds.get(contender)?.push(ask(contender, queries, ROUND_SECONDS))
      }
    }
  } finally {
    for (const child of running) child.kill("SIGKILL")
  }
  const of = (contender: Contender, what: keyof Round) =>
    summarize((rounds.get(contender) ?? []).map((round) => round[what]))
  const rate = Math.round(SECOND_NS / of(ours, "perQuery").median)
  return [
    {
      name: "DNS, one query",
      unit: "ns",
      ours: of(ours, "perQuery"),
      other: { name: peer.name, summary: of(peer, "perQuery") },
      bar: { of: "ratio", limit: Number((1 / LEAST_SHARE).toFixed(2)) },
      note: `time by rate, ${NAMES} names, ${IN_FLIGHT} in flight, dnsperf on the same processors: ${rate} queries a second`,
    },
    {
      name: "DNS, one query at all",
      unit: "ns",
      ours: of(ours, "perQuery"),
      bar: { of: "value", limit: SECOND_NS / LEAST_RATE },
    },
    {
      name: "DNS, p99",
      unit: "ms",
      ours: of(ours, "p99"),
      other: { name: peer.name, summary: of(peer, "p99") },
    },
  ]
}

export function names(): string[] {
  return Array.from({ length: NAMES }, (_, index) => `svc${index}.bench.rancher.internal`)
}

function addressOf(index: number): string {
  return `10.43.${index >> 8}.${index & 255}`
}

/** Writes a file of objects that have the {@link names}. @returns its path */
export function writeNames(directory: string): string {
  const objects = names().flatMap((_, index) => [
    { metadata_kind: "service", uuid: `s${index}`, name: `svc${index}`, stack_name: "bench" },
    {
      metadata_kind: "container",
      uuid: `c${index}`,
      name: `c${index}`,
      state: "running",
      primary_ip: addressOf(index),
    },
    {
      metadata_kind: "serviceContainerLink",
      service_uuid: `s${index}`,
      service_name: `svc${index}`,
      container_uuid: `c${index}`,
    },
  ])
  const file = join(directory, "objects.json")
  writeFileSync(file, JSON.stringify(objects))
  return file
}

function ourServer({ command, directory }: Bench, port: number): string[] {
  const file = writeNames(directory)
  const listen = ["--listen", `127.0.0.1:${port}`, "--resolv-conf", "/dev/null"]
  return [...command, "dns", "serve", "--objects", file, ...listen]
}

function dnsmasq({ directory }: Bench, port: number): string[] {
  const hosts = join(directory, "hosts")
  writeFileSync(
    hosts,
    names()
      .map((name, index) => `${addressOf(index)} ${name}\n`)
      .join(""),
  )
  return [
    ...["dnsmasq", "--keep-in-foreground", "--no-hosts", "--no-resolv", "--user=root"],
    ...["--conf-file=/dev/null", "--pid-file=", "--cache-size=10000"],
    ...[`--addn-hosts=${hosts}`, `--port=${port}`],
    ...["--listen-address=127.0.0.1", "--bind-interfaces"],
  ]
}

function start([program = "", ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] })
}

/** Waits until one query is answered. @throws Error when none is */
async function answers({ name, port }: Contender, directory: string): Promise<void> {
  const deadline = Date.now() + START_MS
  const one = join(directory, "query")
  writeFileSync(one, `${names()[0]} A\n`)
  while (!/NOERROR/.test(dnsperf(port, one, ["-n", "1", "-t", "1"]))) {
    if (Date.now() > deadline) throw new Error(`${name} does not answer`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function ask({ name, port }: Contender, queries: string, seconds: number): Round {
  const said = dnsperf(port, queries, ["-q", String(IN_FLIGHT), "-l", String(seconds)])
  const rate = Number(/Queries per second:\s+([\d.]+)/.exec(said)?.[1])
  const times = [...said.matchAll(/^> NOERROR \S+ A ([\d.]+)$/gm)].map(([, time]) => Number(time))
  if (!(rate > 0) || times.length === 0)
    throw new Error(`${name}: dnsperf said ${said.slice(-500)}`)
  times.sort((a, b) => a - b)
  const p99 = (times[Math.floor(times.length * 0.99)] ?? 0) * 1000
  return { perQuery: SECOND_NS / rate, p99 }
}

function dnsperf(port: number, queries: string, more: readonly string[]): string {
  const args = ["-s", "127.0.0.1", "-p", String(port), "-d", queries, "-c", "1", "-T", "1", "-v"]
  const maxBuffer = 256 * 1024 * 1024
  const result = spawnSync("dnsperf", [...args, ...more], { encoding: "utf8", maxBuffer })
  if (result.error !== undefined) throw result.error
  return result.stdout
}
