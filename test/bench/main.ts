/**
 * The benchmarks beside Debian's containernetworking-plugins, in one run:
 * `npm run bench -- [--n N] [--only PATTERN] [--json FILE]`. It ends with 0 unless something failed
 * to work: a missed bar is a figure, not a failure.
 */
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { availableParallelism, release, setPriority } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { runtimeName } from "../../src/sys/ffi/runtime.ts"
import { AgentProcess } from "./agent_process.ts"
import { arrivals } from "./arrivals.ts"
import type { Bench } from "./bench.ts"
import { burst } from "./burst.ts"
import { coldAdds, coldStarts } from "./cold.ts"
import { dns } from "./dns.ts"
import { esp } from "./esp.ts"
import { type Figure, isMet, ratioOf } from "./figure.ts"
import { flood } from "./flood.ts"
import { floor } from "./floor.ts"
import { ipam } from "./ipam.ts"
import { metadata } from "./metadata.ts"
import { settle } from "./plugin_process.ts"
import { scale } from "./scale.ts"
import { scalePeers } from "./scale_peers.ts"
import { socketCalls } from "./socket_call.ts"
import { agentStart } from "./start.ts"
import { tableOf } from "./table.ts"
import { wholeCalls } from "./whole_call.ts"

/** A group of measurements, with or without an agent that runs beside it. */
interface Measurement {
  readonly name: string
  readonly agent: boolean
  run(bench: Bench): Figure[] | Promise<Figure[]>
}

const MEASUREMENTS: readonly Measurement[] = [
  { name: "calls", agent: true, run: wholeCalls },
  { name: "floor", agent: false, run: floor },
  { name: "socket", agent: true, run: socketCalls },
  { name: "burst", agent: true, run: burst },
  { name: "scale", agent: true, run: scale },
  { name: "cold", agent: true, run: coldAdds },
  { name: "cold-start", agent: false, run: coldStarts },
  { name: "start", agent: false, run: agentStart },
  { name: "ipam", agent: false, run: ipam },
  { name: "dns", agent: false, run: dns },
  { name: "metadata", agent: false, run: metadata },
  { name: "arrivals", agent: false, run: arrivals },
  { name: "flood", agent: false, run: flood },
  { name: "scale-peers", agent: false, run: scalePeers },
  { name: "esp", agent: false, run: esp },
]

/** Debian's containernetworking-plugins. */
const PEER_DIRECTORY = "/usr/lib/cni"
const PEER_PLUGINS = ["bridge", "host-local"]

/** The least that medians are taken of. */
const LEAST_N = 50

/** setpriority(2). */
const HIGHEST_PRIORITY = -20
/** How long the machine is watched before anything runs. */
const WATCH_MS = 1000
/** USER_HZ, in which /proc/stat counts. */
const TICKS_PER_SECOND = 100

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      n: { type: "string", default: "60" },
      only: { type: "string", default: "" },
      json: { type: "string" },
    },
  })
  const n = Number(values.n)
  if (!Number.isInteger(n) || n < LEAST_N) throw new Error(`--n must be ${LEAST_N} or more`)
  const command = lariatCommand()
  const busy = busyProcessors()
  // All that is measured inherits it, both sides alike: what else runs here disturbs less.
  setPriority(HIGHEST_PRIORITY)
  const machine = describeMachine(command)
  console.log(`${Object.values(machine).join(", ")}, n = ${n}`)
  if (busy > 0.3) {
    console.log(
      `others keep ${busy.toFixed(1)} processors busy: the figures will be worse than they are`,
    )
  }
  console.log()
  const figures: Figure[] = []
  for (const measurement of MEASUREMENTS) {
    if (!new RegExp(values.only).test(measurement.name)) continue
    const started = performance.now()
    figures.push(...(await inDirectory((directory) => measure(measurement, directory, command, n))))
    const seconds = (performance.now() - started) / 1000
    console.log(`measured ${measurement.name} in ${seconds.toFixed(1)} s`)
  }
  console.log(`\n${tableOf(figures)}`)
  const lines = figures.map((figure) => ({
    ...figure,
    ratio: ratioOf(figure),
    met: isMet(figure),
  }))
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ machine, n, figures: lines }, null, 2)}\n`)
  }
}

async function measure(
  measurement: Measurement,
  directory: string,
  command: readonly string[],
  n: number,
): Promise<Figure[]> {
  const installed = install(command, directory)
  const agent = new AgentProcess(installed.command, join(directory, "agent"))
  if (measurement.agent) agent.start()
  try {
    return await measurement.run({ n, directory, ...installed, agent })
  } finally {
    await agent.stop()
  }
}

/**
 * Copies both sides' programs, as an installation does: how a file came into the page cache, by
 * writing or page by page after it was dropped, makes a start quicker or slower by a millisecond.
 */
function install(command: readonly string[], directory: string) {
  const [binary = "", ...args] = command
  const plugins = join(directory, "bin")
  const ours = join(plugins, "lariat")
  mkdirSync(plugins)
  copyFileSync(binary, ours)
  for (const name of PEER_PLUGINS) copyFileSync(join(PEER_DIRECTORY, name), join(plugins, name))
  const program = join(plugins, "rancher-bridge")
  // A script's interpreter is not the plugin: it stays where it is, and is called by its own name.
  symlinkSync(args.length === 0 ? ours : binary, program)
  return { plugins, program, command: args.length === 0 ? [ours] : command }
}

/** On the disk, where state and leases of a real host are, not on the namespace's own tmpfs. */
async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync("/var/tmp/lariat-bench-")
  try {
    return await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function lariatCommand(): string[] {
  const command = process.env.LARIAT_CMD
  if (command === undefined || process.env.LARIAT_TEST_NETNS !== "1") {
    throw new Error("this runs in namespaces of its own: use npm run bench")
  }
  return JSON.parse(command)
}

/** How many processors others use, measured over a second in which nothing of ours runs. */
function busyProcessors(): number {
  const ticks = () => {
    const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n")
    // user, nice, system; idle and iowait left out; irq, softirq, steal.
    const columns = line.split(/\s+/).slice(1).map(Number)
    return [0, 1, 2, 5, 6, 7].reduce((sum, column) => sum + (columns[column] ?? 0), 0)
  }
  const before = ticks()
  settle(WATCH_MS)
  return (ticks() - before) / (TICKS_PER_SECOND * (WATCH_MS / 1000))
}

function describeMachine(command: readonly string[]): Readonly<Record<string, string>> {
  const said = (program: string, ...args: string[]) =>
    spawnSync(program, args, { encoding: "utf8" }).stdout.trim()
  const [binary = "", ...args] = command
  return {
    lariat: said(binary, ...args, "version").split("\n")[0] ?? "",
    peer: `containernetworking-plugins ${said("dpkg-query", "-W", "-f", `\${Version}`, "containernetworking-plugins")}`,
    runner: runtimeName(),
    kernel: `Linux ${release()}`,
    processors: `${availableParallelism()} processors`,
  }
}

try {
  await main()
} catch (error) {
  console.error(`bench: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  process.exitCode = 1
}
