/** What one container waits for metadata and DNS while another floods the agent. */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { Bench } from "./bench.ts"
import { Ours } from "./contender.ts"
import { writeNames } from "./dns.ts"
import type { Figure } from "./figure.ts"
import type { Asking } from "./flood_ask.ts"
import type { Load } from "./http_load.ts"
import { linesOf, pause } from "./metadata_serving.ts"
import { makeNamespaces, removeNamespaces } from "./namespaces.ts"
import { summarize } from "./statistics.ts"

const ROUNDS = 6
/** Of one round and one state. */
const ASKS = 300
const FLOOD_SECONDS = 2.5
/** A flood is on, and what is done against it too. */
const FLOOD_BEGINS_MS = 1000
const CONNECTIONS = 64
/** Bar of the issue. */
const MOST_SLOWDOWN = 2
/** USER_HZ, in which /proc/PID/stat counts. */
const TICKS_PER_SECOND = 100

const AGENT = "169.254.169.250"
/** A server that does nothing, on the same address: what a flood costs wherever it goes. */
const SINK_PORT = 5321
const PORTS = { http: 80, dns: 53 } as const
const PATH = "/latest/self/container/name"

/** One way to flood. */
interface Flood {
  readonly name: string
  readonly protocol: Asking["protocol"]
  /** The words behind the runtime's, for a port of the agent's address. */
  argv(port: number): readonly string[]
  /** What it did, in words. */
  said(result: { readonly rate: number; readonly sent?: number }): string
}

const script = (name: string) => join(import.meta.dirname, name)
const rounded = (rate = 0) => Math.round(rate).toLocaleString("en")

const FLOODS: readonly Flood[] = [
  {
    name: "metadata beside another's questions",
    protocol: "http",
    argv: (port) => [script("http_load.ts"), JSON.stringify(loadOf(port))],
    said: ({ rate }) => `${CONNECTIONS} connections, answered ${rounded(rate)} times a second`,
  },
  {
    name: "metadata beside another's flood",
    protocol: "http",
    argv: (port) => [script("http_flood.ts"), JSON.stringify(loadOf(port))],
    said: ({ rate }) =>
      `${CONNECTIONS} connections that ask ahead, answered ${rounded(rate)} times a second`,
  },
  {
    name: "DNS beside another's flood",
    protocol: "dns",
    argv: (port) => [script("dns_flood.ts"), AGENT, `${port}`, `${FLOOD_SECONDS}`],
    said: ({ rate, sent }) =>
      `${rounded(sent)} queries a second, answered ${rounded(rate)} times a second`,
  },
]

function loadOf(port: number): Load {
  const base = { host: AGENT, port, path: PATH, accept: "*/*" }
  return { ...base, connections: CONNECTIONS, seconds: FLOOD_SECONDS }
}

/** Quantiles of one round in one state. */
interface Quantiles {
  readonly p50: number
  readonly p90: number
}

/** Two containers of one agent, one of them hostile. */
class World {
  readonly #bench: Bench
  readonly #netns: readonly string[]
  readonly #sink: ChildProcess

  constructor(bench: Bench) {
    this.#bench = bench
    const objects = writeNames(bench.directory)
    bench.agent.start(`  objects: ${objects}\n`)
    this.#netns = makeNamespaces("flood-", 2)
    const paths = { program: bench.program, socket: bench.agent.socket }
    const ours = new Ours("flood28", "10.28.0.0/16", paths, { ipMasq: false })
    for (const [index, netns] of this.#netns.entries()) {
      bench.agent.cni("ADD", ours, { containerId: `flood${index}`, netns, ifname: "eth0" })
    }
    const argv = [script("flood_sink.ts"), AGENT, `${SINK_PORT}`]
    this.#sink = spawn(process.execPath, argv, { stdio: ["ignore", "ignore", "inherit"] })
  }

  /** Runs a program of ours in a container, and reads what it prints. */
  async run(container: "victim" | "flooder", argv: readonly string[]): Promise<string> {
    const netns = this.#netns[container === "victim" ? 0 : 1]
    const words = [`--net=${netns}`, process.execPath, ...argv]
    return await linesOf(spawn("nsenter", words, { stdio: ["ignore", "pipe", "inherit"] }))()
  }

  async ask(protocol: Asking["protocol"]): Promise<Quantiles> {
    const asking: Asking = { protocol, host: AGENT, port: PORTS[protocol], path: PATH, asks: ASKS }
    const answer = await this.run("victim", [script("flood_ask.ts"), JSON.stringify(asking)])
    const times: number[] = JSON.parse(answer)
    times.sort((a, b) => a - b)
    const at = (q: number) => times[Math.floor((times.length - 1) * q)] ?? Number.NaN
    return { p50: at(0.5), p90: at(0.9) }
  }

  /** Seconds of processors that the agent has had. */
  processorSeconds(): number {
    const stat = readFileSync(`/proc/${this.#bench.agent.pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  }

  async close(): Promise<void> {
    this.#sink.kill("SIGKILL")
    removeNamespaces(this.#netns)
    await this.#bench.agent.stop()
  }
}

/** Answers alone, beside a flood, and beside a flood that goes elsewhere. */
export async function flood(bench: Bench): Promise<Figure[]> {
  const world = new World(bench)
  try {
    // The sink may listen once the agent has put its address on the host.
    await pause(FLOOD_BEGINS_MS)
    const figures: Figure[] = []
    for (const one of FLOODS) figures.push(...(await beside(world, one)))
    return figures
  } finally {
    await world.close()
  }
}

async function beside(world: World, { name, protocol, argv, said }: Flood): Promise<Figure[]> {
  const found = { alone: [] as Quantiles[], here: [] as Quantiles[], elsewhere: [] as Quantiles[] }
  const port = PORTS[protocol]
  const processors: number[] = []
  let words = ""
  for (let round = 0; round < ROUNDS; round++) {
    found.alone.push(await world.ask(protocol))
    for (const to of round % 2 === 0 ? [port, SINK_PORT] : [SINK_PORT, port]) {
      const flooding = world.run("flooder", argv(to))
      await pause(FLOOD_BEGINS_MS)
      const before = { used: world.processorSeconds(), at: performance.now() }
      found[to === port ? "here" : "elsewhere"].push(await world.ask(protocol))
      const used = (world.processorSeconds() - before.used) * 1000
      if (to === port) processors.push(used / (performance.now() - before.at))
      const result = await flooding
      if (to === port) words = said(JSON.parse(result))
    }
  }
  const of = (state: keyof typeof found, what: keyof Quantiles) =>
    summarize(found[state].map((one) => one[what]))
  const figure = (what: keyof Quantiles, state: "alone" | "elsewhere"): Figure => ({
    name: `${name}, ${what}`,
    unit: "ms",
    ours: of("here", what),
    other: {
      name: state === "alone" ? state : "the flood to a server that does nothing",
      summary: of(state, what),
    },
  })
  const bar = { of: "ratio", limit: MOST_SLOWDOWN } as const
  const share = `${Math.round(summarize(processors).median * 100)} % of a processor`
  return [
    { ...figure("p50", "alone"), bar },
    { ...figure("p90", "alone"), bar, note: `${words}; the agent had ${share}` },
    // A flood takes processors, wherever it goes.
    figure("p90", "elsewhere"),
  ]
}
