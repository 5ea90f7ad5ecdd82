/** What clients that wait for the metadata cost: another host's containers that come, and an attach. */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { BlockReport, PeerReport } from "../../src/agent/cluster/report.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { parsePsk } from "../../src/cluster/records/psk.ts"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import type { Write } from "../../src/cluster/store/store.ts"
import type { CniResponse } from "../../src/cni/protocol.ts"
import { callUnix } from "../../src/sys/net/unix_client.ts"
import { realDependencies } from "../cluster/real_dependencies.ts"
import { blockOfTen, CrowdHost } from "../cluster_model/crowd.ts"
import { ClusterLab, LAB_PSK } from "../vm/cluster_lab.ts"
import { LabNetns } from "../vm/lab_netns.ts"
import type { Bench } from "./bench.ts"
import type { Figure } from "./figure.ts"
import { linesOf, objectsFile, pause } from "./metadata_serving.ts"
import { settle } from "./plugin_process.ts"
import type { Expected } from "./shown.ts"
import { summarize } from "./statistics.ts"
import type { WaitingClients } from "./waiting_clients.ts"

const CONTAINERS = 5000
const CLIENTS = 1000
/** Of each state. */
const ARRIVALS = 8
/** Attaches of one turn of a state. */
const TURN = 20
const PER_BLOCK = 250
const PER_SERVICE = 100
/** As a host writes its own (endpoint_publisher.ts). */
const WRITES_AT_ONCE = 64
/** Bars of the issue. */
const MOST_SLOWDOWN = 1.5
const SAME = 1.1
const NETWORK = "mesh"
/** USER_HZ, in which /proc counts. */
const TICK_MS = 10
const CALL_TIMEOUT_MS = 10_000
/** What comes or goes is over, also for those who wait for it. */
const CALM_MS = 300
/** Between attaches: a thousand were told of the last one, and rest no more (long_poll.ts). */
const REST_MS = 600

/** Who waits: nobody, for what stays as it is, for what each change makes another. */
const STATES = ["nobody", "unconcerned", "concerned"] as const
type State = (typeof STATES)[number]
type Times = Record<State, number[]>
const noTimes = (): Times => ({ nobody: [], unconcerned: [], concerned: [] })

const PATHS: Readonly<Record<State, readonly string[]>> = {
  nobody: [],
  // Of objects that the agent has from a file: each client looks at another one.
  unconcerned: Array.from({ length: CLIENTS }, (_, n) => `/latest/containers/web-${n}/primary_ip`),
  concerned: Array.from({ length: CLIENTS }, () => "/latest/version"),
}

/** What it took, milliseconds: in all, and of the agent's processor. */
interface Arrival {
  readonly ms: number
  readonly processor: number
}

/** One agent, the records of another host's containers, and a real etcd between them. */
class World {
  readonly #lab: ClusterLab
  readonly #store: EtcdStore
  readonly #foreign: ForeignHost
  readonly #netns = new LabNetns("arrivals")
  readonly #watcher: ChildProcess
  readonly #told: () => Promise<string>

  private constructor(lab: ClusterLab, store: EtcdStore, foreign: ForeignHost) {
    this.#lab = lab
    this.#store = store
    this.#foreign = foreign
    this.#watcher = this.#start("shown.ts")
    this.#told = linesOf(this.#watcher)
  }

  static async make(bench: Bench): Promise<World> {
    const lab = await ClusterLab.start({
      hosts: ["a"],
      driver: "vxlan",
      network: { name: NETWORK, subnets: ["10.64.0.0/10"], driverKeys: { block_size: 24 } },
      settings: { objects: objectsFile(bench, CLIENTS) },
    })
    const store = new EtcdStore(lab.store.urls, realDependencies())
    const own = new Set((await lab.host(0).ask<BlockReport[]>("blocks")).map(({ block }) => block))
    const blocks = Array.from({ length: 2 * (CONTAINERS / PER_BLOCK) }, (_, n) => blockOfTen(n))
      .filter((block) => !own.has(block))
      .slice(0, CONTAINERS / PER_BLOCK)
    const foreign = new ForeignHost(blocks)
    await store.commit([], foreign.join())
    await lab.host(0).until<PeerReport[]>("peers", (peers) => peers.length === 1)
    return new World(lab, store, foreign)
  }

  /** Lets clients wait, and ends them behind it. @returns answers that they had meanwhile */
  async beside(state: State, run: () => Promise<void>): Promise<number> {
    const order: WaitingClients = { host: "169.254.169.250", port: 80, paths: PATHS[state] }
    const clients = this.#start("waiting_clients.ts", JSON.stringify(order))
    const line = linesOf(clients)
    try {
      await line()
      await pause(CALM_MS)
      await run()
      clients.stdin?.write("\n")
      return Number(await line())
    } finally {
      await ended(clients)
    }
  }

  /** From the first write until the metadata shows all. Then they go again. */
  async arrive(): Promise<Arrival> {
    const writes = this.#foreign.containers()
    const cpu = this.#processorMs()
    const started = performance.timeOrigin + performance.now()
    await this.#write(writes)
    const all = CLIENTS + CONTAINERS
    const shown = await this.#until({ name: lastName, isThere: true, containers: all })
    const processor = this.#processorMs() - cpu
    await pause(CALM_MS)
    await this.#write(writes.map(({ key }) => ({ key, value: undefined })))
    await this.#until({ name: lastName, isThere: false, containers: CLIENTS })
    await pause(CALM_MS)
    return { ms: shown - started, processor }
  }

  /** Milliseconds of each of some attaches at rest, by the control socket. All go again. */
  attach(): number[] {
    const names = Array.from({ length: TURN }, (_, n) => `eth${n}`)
    const times = names.map((ifname) => {
      settle(REST_MS)
      const started = performance.now()
      this.#cni("ADD", ifname)
      return performance.now() - started
    })
    for (const ifname of names) this.#cni("DEL", ifname)
    return times
  }

  async close(): Promise<void> {
    await ended(this.#watcher)
    await this.#store.close()
    this.#netns.close()
    await this.#lab.close()
  }

  #processorMs(): number {
    const stat = readFileSync(`/proc/${this.#lab.host(0).pid}/stat`, "utf8")
    // The name may hold blanks; utime and stime are the 14th and 15th field.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  }

  async #write(writes: readonly Write[]): Promise<void> {
    for (let at = 0; at < writes.length; at += WRITES_AT_ONCE) {
      await this.#store.commit([], writes.slice(at, at + WRITES_AT_ONCE))
    }
  }

  async #until(expected: Expected): Promise<number> {
    this.#watcher.stdin?.write(`${JSON.stringify(expected)}\n`)
    return Number(await this.#told())
  }

  #cni(command: "ADD" | "DEL", ifname: string): void {
    const host = this.#lab.host(0)
    const of = { command, containerId: "own", netns: this.#netns.path, ifname }
    const env = { ...of, args: "", path: "", netnsOverride: false }
    const request = { op: "cni", role: "bridge", env, config: host.options.conf }
    const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`)
    const answer = callUnix(host.socket, bytes, { timeoutMs: CALL_TIMEOUT_MS })
    const { exit, stdout } = JSON.parse(new TextDecoder().decode(answer)) as CniResponse
    if (exit !== 0) throw new Error(`${command} ${ifname}: ${stdout}`)
  }

  /** Starts a program of ours on the agent's host. */
  #start(script: string, ...args: string[]): ChildProcess {
    const argv = [process.execPath, join(import.meta.dirname, script), ...args]
    const [program = "", ...words] = this.#lab.host(0).netns.command(...argv)
    return spawn(program, words, { stdio: ["pipe", "pipe", "inherit"] })
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once("close", resolve))
  child.kill("SIGKILL")
  await gone
}

const lastName = `foreign-${CONTAINERS - 1}`

/** A host with all those containers, and what it writes. */
class ForeignHost {
  readonly #host: CrowdHost
  readonly #blocks: readonly string[]

  constructor(blocks: readonly string[]) {
    this.#blocks = blocks
    this.#host = new CrowdHost(0, {
      keys: new Keyspace("lab"),
      psk: parsePsk(LAB_PSK, { cluster: "lab" }),
      network: NETWORK,
      driver: "vxlan",
      blockOf: () => blocks[0] ?? "",
    })
  }

  /** What it is itself. */
  join(): Write[] {
    const more = this.#blocks.slice(1).map((block) => this.#host.host.claimWrite(block))
    return [...this.#host.writes(), ...more]
  }

  /** A record for each container, signed anew: an old one would be refused. */
  containers(): Write[] {
    return Array.from({ length: CONTAINERS }, (_, n) => {
      const block = this.#blocks[Math.floor(n / PER_BLOCK)] ?? ""
      const name = `foreign-${n}`
      return this.#host.host.endpointWrite(block.replace(/\.0\/24$/, `.${1 + (n % PER_BLOCK)}`), {
        ...{ uuid: name, name, containerId: name, createIndex: n, mac: "0e:00:00:00:00:01" },
        labels: {
          "io.rancher.stack.name": "far",
          "io.rancher.stack_service.name": `far/service-${Math.floor(n / PER_SERVICE)}`,
        },
      })
    })
  }
}

/** Each state in turns, in another order each time. */
async function inTurns(rounds: number, run: (state: State) => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < STATES.length; at++) {
      await run(STATES[(at + round) % STATES.length] ?? "nobody")
    }
  }
}

/** Five thousand containers of another host, and attaches, beside a thousand clients that wait. */
export async function arrivals(bench: Bench): Promise<Figure[]> {
  const world = await World.make(bench)
  try {
    const [arriving, processor, attaching] = [noTimes(), noTimes(), noTimes()]
    const answers: Record<State, number> = { nobody: 0, unconcerned: 0, concerned: 0 }
    await inTurns(1, async () => void (await world.arrive()))
    await inTurns(ARRIVALS, async (state) => {
      answers[state] += await world.beside(state, async () => {
        const took = await world.arrive()
        arriving[state].push(took.ms)
        processor[state].push(took.processor)
      })
    })
    if (answers.unconcerned > 0 || answers.concerned < CLIENTS * ARRIVALS) {
      throw new Error(`answers to those who wait: ${JSON.stringify(answers)}`)
    }
    await inTurns(Math.ceil(bench.n / TURN), async (state) => {
      await world.beside(state, async () => {
        attaching[state].push(...world.attach())
      })
    })
    const each = Math.round(answers.concerned / CLIENTS / ARRIVALS)
    return figuresOf({ arriving, processor, attaching }, each)
  } finally {
    await world.close()
  }
}

/** Milliseconds of each state. */
interface Found {
  readonly arriving: Times
  readonly processor: Times
  readonly attaching: Times
}

function figuresOf({ arriving, processor, attaching }: Found, answersEach: number): Figure[] {
  const figure = (what: string, times: Times, state: State, limit?: number): Figure => ({
    name: `${what} beside ${CLIENTS} who wait, ${state}`,
    unit: "ms",
    ours: summarize(times[state]),
    other: { name: "beside nobody", summary: summarize(times.nobody) },
    bar: limit === undefined ? undefined : { of: "ratio", limit },
  })
  const come = `${CONTAINERS} foreign containers`
  return [
    {
      ...figure(come, arriving, "unconcerned", MOST_SLOWDOWN),
      note: "from the first write to etcd until the metadata shows all; each client waits for another container's address, and none changes",
    },
    {
      ...figure(come, arriving, "concerned", MOST_SLOWDOWN),
      note: `all wait for /version, and again with each answer: ${answersEach} each, while they came and went`,
    },
    figure(`processor for ${come}`, processor, "unconcerned"),
    figure(`processor for ${come}`, processor, "concerned"),
    { ...figure("ADD", attaching, "unconcerned", SAME), note: "by the control socket, at rest" },
    figure("ADD", attaching, "concerned", SAME),
  ]
}
