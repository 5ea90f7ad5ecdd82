/**
 * A host that attaches and detaches containers without end, and another one that must hear of each:
 * real agents, a real etcd, real ports. A container is waited for in the other host's metadata
 * before it goes; after each batch some stay, and the other host shows exactly those.
 *
 * `TEST_SOAK=200000` makes it that many attaches. It rests after each ten thousand, until what is
 * garbage is given back, and both agents' memory has to be flat after the first tenth. Figures are
 * printed.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { StatusReport } from "../../src/agent/report.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import { linesOf } from "../bench/metadata_serving.ts"
import { slopeOf } from "../bench/statistics.ts"
import { Random } from "../netns/random.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { LabNetns } from "../vm/lab_netns.ts"
import { NETWORK, refusals } from "./intruder.ts"
import { realDependencies } from "./real_dependencies.ts"
import type { BatchOrder, BatchReport, SoakOrder } from "./soak_load.ts"

const SHORT = 3000
/** From here on memory is held to be flat: before, heaps find their size. */
const LONG = 200_000
const ATTACHES = Number(process.env.TEST_SOAK ?? SHORT)
const BATCH = Math.min(1000, Math.ceil(ATTACHES / 6))
/** Containers at a time. */
const WORKERS = 64
/** Batches after which all rest, a line is printed, and the store forgets how things were before. */
const ROUND = 10
/** What is garbage by then, 20 to 40 MB of each agent, is given back within some 12 s. */
const REST_S = 15
/** Until then caches fill. */
const WARM_UP_SHARE = 0.1
/** What memory may grow for an attach, by its slope: a row or record that is kept has ten times that. */
const MAX_BYTES_PER_ATTACH = 100
/** No machine is slower. */
const MS_PER_ATTACH = 80
/** USER_HZ, in which /proc counts. */
const TICK_MS = 10

let lab: ClusterLab
let store: EtcdStore
let load: ChildProcess | undefined
const containers: LabNetns[] = []

beforeAll(async () => {
  lab = await ClusterLab.start({ driver: "vxlan" })
  store = new EtcdStore(lab.store.urls, realDependencies())
  for (let n = 0; n < WORKERS; n++) containers.push(new LabNetns(`soak-${n}`))
}, 60_000)

afterAll(async () => {
  load?.kill("SIGKILL")
  for (const netns of containers) netns.close()
  await store?.close()
  await lab?.close()
})

/** One number for the host that attaches, the one that hears of it, and the store. */
type Each = Readonly<Record<"a" | "b" | "etcd", number>>

/** One moment after a round. */
interface Sample {
  readonly attaches: number
  /** The least megabytes that were resident while all rested. */
  readonly rssMb: Each
  /** Milliseconds of processor so far. */
  readonly cpuMs: Each
  /** All keys of the store. */
  readonly keys: number
}

test(
  `${ATTACHES} attaches of one host are all heard of by the other`,
  async () => {
    const [a, b] = [lab.host("a"), lab.host("b")]
    const { seed } = Random.fromEnvironment()
    console.log(`TEST_SEED=${seed} repeats this run`)
    const batch = startLoad(a, b, seed)
    const samples: Sample[] = []
    let [sequence, seen, seconds] = [0, 0, 0]
    for (let attaches = 0, batches = 1; attaches < ATTACHES; batches++) {
      const count = Math.min(BATCH, ATTACHES - attaches)
      const report = await batch({ attaches: count })
      attaches += count
      seen += report.seen
      seconds += report.seconds
      await expectWell(a, Object.keys(report.standing).length)
      await expectWell(b, 0)
      const { keys, revision, sequences } = await expectRecords(report)
      // None was written before the last batch, and of each container each address has one.
      expect(Math.min(...sequences)).toBeGreaterThan(sequence)
      sequence = Math.max(...sequences)
      expect(sequence).toBeGreaterThanOrEqual(2 * seen)
      if (batches % ROUND !== 0) continue
      const sample = { attaches, rssMb: await restingMb(), cpuMs: of(cpuMs), keys }
      print(sample, samples.at(-1), { ...report, seconds })
      samples.push(sample)
      seconds = 0
      await lab.store.call("/v3/kv/compaction", { revision })
    }
    const last = await batch({ attaches: 0 })
    expect(last.standing).toEqual({})
    await expectWell(a, 0)
    await expectRecords(last)
    console.log(`${seen} of ${ATTACHES} containers were waited for, and shown`)
    if (ATTACHES >= LONG) expectFlat(samples)
  },
  ATTACHES * MS_PER_ATTACH,
)

/** Starts the load in the other host's namespace. @returns does one batch */
function startLoad(a: LabHost, b: LabHost, seed: number) {
  const netns = containers.map(({ path }) => path)
  const order: SoakOrder = { socket: a.socket, conf: a.options.conf, netns, seed }
  const script = join(import.meta.dirname, "soak_load.ts")
  const [program = "", ...args] = b.netns.command(process.execPath, script, JSON.stringify(order))
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] })
  load = child
  const line = linesOf(child)
  return async (order: BatchOrder): Promise<BatchReport> => {
    child.stdin.write(`${JSON.stringify(order)}\n`)
    return JSON.parse(await line())
  }
}

/** Nothing is wrong, nothing was refused, nothing had to be mended, and so many are attached. */
async function expectWell(host: LabHost, attached: number): Promise<void> {
  const { endpoints, problems, repairs } = await host.ask<StatusReport>("status")
  expect(problems).toEqual([])
  expect(repairs).toEqual([])
  expect(refusals(host)).toEqual([])
  expect(endpoints).toEqual({ attached, attaching: 0, detaching: 0 })
}

/** The store has the records of these containers' addresses, and no other. */
async function expectRecords({ standing }: BatchReport) {
  const keyspace = new Keyspace("lab")
  const { entries, revision } = await store.list(keyspace.prefix)
  const records = entries.filter(({ key }) => keyspace.parse(key)?.kind === "endpoint")
  const expected = Object.values(standing).flat()
  expect(records.map(({ key }) => key).sort()).toEqual(
    expected.map((address) => keyspace.endpoint(NETWORK, address)).sort(),
  )
  const sequences = records.map(({ value }) => Number(value.split(" ", 6)[5]))
  return { keys: entries.length, revision, sequences }
}

/** Something of each process. */
function of(what: (pid: number) => number): Each {
  const [member] = lab.store.members
  return {
    a: what(lab.host("a").pid),
    b: what(lab.host("b").pid),
    etcd: what(member?.pid ?? 0),
  }
}

async function restingMb(): Promise<Each> {
  let least = of(rssMb)
  for (let second = 0; second < REST_S; second++) {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const { a, b, etcd } = of(rssMb)
    least = { a: Math.min(a, least.a), b: Math.min(b, least.b), etcd: Math.min(etcd, least.etcd) }
  }
  return least
}

function rssMb(pid: number): number {
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return (Number(rss) * 1024) / 1e6
}

function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  // The name may hold blanks; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** What the latest batches were like. */
function print(now: Sample, before: Sample | undefined, last: BatchReport): void {
  const count = now.attaches - (before?.attaches ?? 0)
  const each = (["a", "b", "etcd"] as const).map((name) => {
    const ms = (now.cpuMs[name] - (before?.cpuMs[name] ?? 0)) / count
    return `${name} ${now.rssMb[name].toFixed(1)} MB, ${ms.toFixed(1)} ms`
  })
  const { addMs, delMs, shownMs } = last
  console.log(
    `${now.attaches}: ${(count / last.seconds).toFixed(0)} a second, ADD ${addMs.toFixed(1)} ms, DEL ${delMs.toFixed(1)}, shown after ${shownMs.toFixed(1)}; ${now.keys} keys; resident at rest, and processor for each attach: ${each.join("; ")}`,
  )
}

/** After the warm-up neither agent keeps anything of an attach. */
function expectFlat(samples: readonly Sample[]): void {
  const warm = samples.filter(({ attaches }) => attaches >= ATTACHES * WARM_UP_SHARE)
  const grownBy = (name: keyof Each) =>
    slopeOf(warm.map(({ attaches, rssMb }) => [attaches, rssMb[name]])) * 1e6
  const [a, b] = [grownBy("a"), grownBy("b")]
  console.log(`bytes of memory for each attach, by the slope: a ${a.toFixed(0)}, b ${b.toFixed(0)}`)
  expect(a).toBeLessThan(MAX_BYTES_PER_ATTACH)
  expect(b).toBeLessThan(MAX_BYTES_PER_ATTACH)
}
