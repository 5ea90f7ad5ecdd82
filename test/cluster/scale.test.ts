/** A thousand simulated hosts, a real etcd, and one real agent. Times are printed, never asserted. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import type { BlockReport, PeerReport } from "../../src/agent/cluster/report.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { parsePsk } from "../../src/cluster/records/psk.ts"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import type { Write } from "../../src/cluster/store/store.ts"
import { listRoutes } from "../../src/netlink/route/route.ts"
import { summarize } from "../bench/statistics.ts"
import { waitFor } from "../clients/program.ts"
import { blockOfTen, type CrowdHost, crowd } from "../cluster_model/crowd.ts"
import { ClusterLab, LAB_PSK } from "../vm/cluster_lab.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { refusals } from "./intruder.ts"
import { realDependencies } from "./real_dependencies.ts"

const HOSTS = 1000
/** Blocks of the network, and the first that changes take: hosts have those below. */
const FIRST_SPARE = 8192
const CHANGES = 20
/** etcd takes 128 operations at once. */
const WRITES_AT_ONCE = 112
/** The bar is 150: beyond this something grows that should not. */
const MAX_RSS_MB = 250
/** USER_HZ, in which /proc counts. */
const TICK_MS = 10
const NETWORK = "mesh"
/** What the kernel has of the network that is another host's. */
const OF_PEERS = /^10\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.\d+\.0\/24$/

let lab: ClusterLab
let agent: LabHost
let store: EtcdStore
let hosts: readonly CrowdHost[]

beforeAll(async () => {
  lab = await ClusterLab.start({
    hosts: ["a"],
    driver: "vxlan",
    network: { name: NETWORK, subnets: ["10.64.0.0/10"], driverKeys: { block_size: 24 } },
  })
  agent = lab.host("a")
  store = new EtcdStore(lab.store.urls, realDependencies())
  const own = new Set((await agent.ask<BlockReport[]>("blocks")).map(({ block }) => block))
  const free = Array.from({ length: FIRST_SPARE }, (_, index) => blockOfTen(index)).filter(
    (block) => !own.has(block),
  )
  hosts = crowd(HOSTS, {
    keys: new Keyspace("lab"),
    psk: parsePsk(LAB_PSK, { cluster: "lab" }),
    network: NETWORK,
    driver: "vxlan",
    blockOf: (index) => free[index] ?? "",
  })
}, 60_000)

afterAll(async () => {
  await store?.close()
  await lab?.close()
})

/** Of all threads, milliseconds of processor since the start. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  // The name may hold blanks; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

/** Now and at the most so far. */
function memoryMb(pid: number): { readonly rss: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const of = (name: string) =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024)
  return { rss: of("VmRSS"), peak: of("VmHWM") }
}

/** Blocks of other hosts that the kernel has a route to. */
function routed(): Set<string> {
  const routes = listRoutes(agent.netns.route, { family: 4 })
  const own = agent.netns.links().find(({ name }) => name === "mesh0")?.index
  const remote = routes.filter(({ dst, index }) => OF_PEERS.test(dst ?? "") && index !== own)
  return new Set(remote.map(({ dst }) => dst ?? ""))
}

async function untilRouted(count: number): Promise<void> {
  try {
    await waitFor("the routes", () => routed().size === count || undefined, 45_000)
  } catch (error) {
    const said = `${routed().size} of ${count} are there\n${agent.log.slice(-2000)}`
    throw new Error(said, { cause: error })
  }
}

async function writeAll(writes: readonly Write[]): Promise<void> {
  for (let at = 0; at < writes.length; at += WRITES_AT_ONCE) {
    await store.commit([], writes.slice(at, at + WRITES_AT_ONCE))
  }
}

/** Those that are there, with a way to them. */
function whole(peers: readonly PeerReport[]): PeerReport[] {
  return peers.filter(({ alive, paths }) => alive && paths.length === 1)
}

async function expectAll(): Promise<void> {
  const unasked = memoryMb(agent.pid)
  const peers = await agent.ask<PeerReport[]>("peers")
  expect(new Set(peers.map(({ hostId }) => hostId))).toEqual(
    new Set(hosts.map(({ host }) => host.id)),
  )
  expect(whole(peers)).toHaveLength(HOSTS)
  expect(routed()).toEqual(new Set(hosts.map(({ block }) => block)))
  expect(refusals(agent)).toEqual([])
  const { rss, peak } = memoryMb(agent.pid)
  console.log(
    `agent: ${unasked.rss} MB resident, ${unasked.peak} MB at the most; after lariat peers ${rss} and ${peak}`,
  )
  expect(peak).toBeLessThan(MAX_RSS_MB)
}

test(`an agent that runs sees ${HOSTS} hosts come`, async () => {
  const { rss } = memoryMb(agent.pid)
  const writes = hosts.flatMap((host) => host.writes())
  const [cpu, started] = [cpuMs(agent.pid), performance.now()]
  await writeAll(writes)
  const written = performance.now() - started
  await untilRouted(HOSTS)
  const took = performance.now() - started
  console.log(
    `${HOSTS} hosts, ${writes.length} records: ${cpuMs(agent.pid) - cpu} ms of processor, ${took.toFixed(0)} ms in all, of which writing ${written.toFixed(0)}; ${rss} MB before`,
  )
  await expectAll()
}, 60_000)

test("one host's change is in the kernel", async () => {
  const fromCall: number[] = []
  const fromCommit: number[] = []
  const cpu = cpuMs(agent.pid)
  for (const [index, { host }] of hosts.slice(0, CHANGES).entries()) {
    const block = blockOfTen(FIRST_SPARE + index)
    const write = host.claimWrite(block)
    const started = performance.now()
    let committed = started
    const commit = store.commit([], [write]).then(() => {
      committed = performance.now()
    })
    while (!routed().has(block)) {
      if (performance.now() - started > 10_000) throw new Error(`no route to ${block}`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const arrived = performance.now()
    await commit
    fromCall.push(arrived - started)
    // The watch may tell the agent before the writer has its answer.
    fromCommit.push(Math.max(0, arrived - committed))
  }
  const text = (times: readonly number[]) => {
    const { median, p90, max } = summarize(times)
    return `median ${median.toFixed(1)}, p90 ${p90.toFixed(1)}, most ${max.toFixed(1)} ms`
  }
  console.log(
    `from the call of commit: ${text(fromCall)}; from its answer: ${text(fromCommit)}; ${((cpuMs(agent.pid) - cpu) / CHANGES).toFixed(1)} ms of the agent's processor each`,
  )
  expect(routed().size).toBe(HOSTS + CHANGES)
  const releases = hosts
    .slice(0, CHANGES)
    .map(({ host }, index) => host.claimWrite(blockOfTen(FIRST_SPARE + index), "released"))
  await writeAll(releases)
  await untilRouted(HOSTS)
}, 60_000)

test(`an agent that starts anew sees ${HOSTS} hosts at once`, async () => {
  await agent.stopAgent()
  // Nothing of what an earlier run left: all is put into the kernel again.
  const device = agent.netns.links().find(({ kind }) => kind === "vxlan")?.name ?? ""
  await agent.netns.run("ip", "link", "delete", device)
  expect(routed().size).toBe(0)
  const started = performance.now()
  await agent.startAgent()
  const ready = performance.now() - started
  const before = cpuMs(agent.pid)
  await untilRouted(HOSTS)
  const cpuAll = cpuMs(agent.pid)
  const took = performance.now() - started
  console.log(
    `start with ${HOSTS} hosts: ${cpuAll} ms of processor from its start on (${before} when it answered, after ${ready.toFixed(0)} ms), ${took.toFixed(0)} ms in all`,
  )
  await expectAll()
  const cpu = cpuMs(agent.pid)
  await new Promise((resolve) => setTimeout(resolve, 5000))
  console.log(`at rest: ${((cpuMs(agent.pid) - cpu) / 50).toFixed(1)} % of a processor`)
}, 60_000)
