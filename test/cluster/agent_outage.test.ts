/** Agents on a store that is hurt: what stands goes on, and what was lost is made good. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import type { BlockReport, PeerReport } from "../../src/agent/cluster/report.ts"
import type { EndpointReport, StatusReport } from "../../src/agent/report.ts"
import { waitFor } from "../clients/program.ts"
import type { LabContainer } from "../vm/lab_container.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { startTcp, startUdp } from "../vm/traffic.ts"
import { blocksOf, calm, expectUntouched, problemsOf, whole } from "./agents.ts"
import { EtcdLab } from "./etcd_lab.ts"

/** How long all members are away, milliseconds; a minute and more is for a machine with time. */
const OUTAGE_MS = Number(process.env.LARIAT_OUTAGE_MS ?? 12_000)
/** Between two containers, all the time. */
const STREAM = { rate: 200, size: 200 }

let world: EtcdLab
let a: LabHost
let b: LabHost
let here: LabContainer
let there: LabContainer
/** Of a store that knows a and b with one block each, and nobody else. */
let snapshot: string

beforeAll(async () => {
  world = await EtcdLab.start({
    // Blocks of 14 addresses: hosts need more than one.
    network: { driverKeys: { block_size: 28 } },
    hostTimeout: "5s",
    etcd: { members: 3, tls: true, rootPassword: "correct horse", progressInterval: "1s" },
  })
  ;[a, b] = [world.host("a"), world.host("b")]
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
  snapshot = join(world.lab.directory, "snapshot")
  await world.etcd.snapshot(snapshot)
}, 90_000)

afterAll(() => world?.close())

/** Looks over all hosts: no block and no address is held twice, and the store says the same. */
async function expectEachOnce(): Promise<void> {
  const running = world.hosts.filter((host) => host.running)
  const blocks = (await Promise.all(running.map(blocksOf))).flat()
  expect(new Set(blocks).size).toBe(blocks.length)
  const endpoints = await Promise.all(
    running.map((host) => host.ask<EndpointReport[]>("endpoints")),
  )
  const addresses = endpoints.flat().flatMap((endpoint) => endpoint.addresses)
  expect(addresses.length).toBeGreaterThan(0)
  expect(new Set(addresses).size).toBe(addresses.length)
  for (const host of running) {
    // Each hears of the others' in its time.
    await host.until<BlockReport[]>(
      "blocks",
      (all) =>
        all
          .map(({ block }) => block)
          .sort()
          .join() === [...blocks].sort().join(),
    )
  }
}

/** Streams between the hosts that must not notice anything. */
async function streams() {
  const udp = await startUdp(here.place(), there.place(), STREAM)
  const tcp = await startTcp(there.place(6), here.place(6), { rate: 20_000 })
  await udp.more(20)
  return {
    async expectWhole() {
      await udp.more(50)
      await tcp.more(1000)
      await expectUntouched(udp)
      expect(await tcp.stop()).toMatchObject({ intact: true, retransmits: 0 })
    },
  }
}

async function attachMany(host: LabHost, prefix: string, count: number): Promise<LabContainer[]> {
  const made: LabContainer[] = []
  for (let n = 0; n < count; n++) made.push(await host.attach(`${prefix}${n}`))
  return made
}

test("a leader that is killed is missed by nobody", async () => {
  const running = await streams()
  const leader = await world.etcd.leader()
  await leader.kill()
  const [fresh] = await attachMany(a, "l", 2)
  expect(await there.ping(fresh?.v4 ?? "", { count: 2 })).toMatchObject({ received: 2 })
  await fresh?.detach()
  // More blocks than there were: the store is asked.
  await attachMany(b, "l", 16)
  expect((await blocksOf(b)).length).toBeGreaterThan(2)
  await calm(a)
  await running.expectWhole()
  await world.etcd.startMembers()
  await expectEachOnce()
}, 60_000)

test(
  "while all members are away containers come, go and speak; a new host waits",
  async () => {
    const running = await streams()
    const begun = performance.now()
    await world.etcd.kill()
    await a.until<StatusReport>("status", (status) =>
      status.problems.some(({ what }) => what.includes("does not answer")),
    )
    const made = await attachMany(a, "o", 4)
    for (const { v4, v6 } of made) {
      expect(await there.ping(v4)).toMatchObject({ received: 1 })
      expect(await there.ping(v6)).toMatchObject({ received: 1 })
    }
    await made[0]?.detach()

    const c = await world.enter("c")
    await c.until<StatusReport>("status", (status) =>
      status.problems.some(({ what }) => what.includes("register this host")),
    )
    expect((await c.lariat("status")).stdout).toContain("register this host")
    await expect(c.attach("early")).rejects.toThrow("ADD early")

    // From memory: an agent that starts while nobody answers.
    await b.killAgent()
    await b.startAgent()
    const late = await b.attach("late")
    expect(await here.ping(late.v4)).toMatchObject({ received: 1 })
    expect((await b.ask<PeerReport[]>("peers")).every(({ name }) => name !== "c")).toBe(true)

    await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS - (performance.now() - begun)))
    await world.etcd.startMembers()
    await Promise.all([whole(a, ["b", "c"]), whole(b, ["a", "c"]), whole(c, ["a", "b"])])
    await running.expectWhole()
    await Promise.all(world.hosts.map(calm))
    const first = await c.attach("first")
    expect(await first.ping(here.v4, { count: 2 })).toMatchObject({ received: 2 })
    await expectEachOnce()
  },
  OUTAGE_MS + 60_000,
)

test("a host that is cut off goes on by itself, and comes back", async () => {
  const running = await streams()
  const c = world.host("c")
  c.cable.cut()
  await a.until<PeerReport[]>("peers", (peers) => peers.some(({ alive }) => !alive))
  const alone = await c.attach("alone")
  expect(await alone.ping(c.containers.get("first")?.v4 ?? "")).toMatchObject({ received: 1 })
  expect(await problemsOf(a)).toEqual([])
  c.cable.heal()
  await Promise.all([whole(a, ["b", "c"]), whole(c, ["a", "b"])])
  expect(await alone.ping(here.v4, { count: 2 })).toMatchObject({ received: 2 })
  await running.expectWhole()
  await Promise.all(world.hosts.map(calm))
  await expectEachOnce()
}, 60_000)

test("a host whose agent is dead is off the mesh after its time, keeps its blocks, and comes back", async () => {
  const c = world.host("c")
  const blocks = await blocksOf(c)
  await c.killAgent()
  await a.until<PeerReport[]>("peers", (peers) => peers.some(({ alive }) => !alive))
  expect(await a.netns.run("ip", "route", "show", "proto", "76")).not.toContain(blocks[0] ?? "none")
  const all = await a.ask<BlockReport[]>("blocks")
  expect(all.filter(({ state }) => state === "gone").map(({ block }) => block)).toEqual(
    [...blocks].sort(),
  )
  await c.startAgent()
  await Promise.all([whole(a, ["b", "c"]), whole(c, ["a", "b"])])
  expect(await blocksOf(c)).toEqual(blocks)
  expect(await c.containers.get("first")?.ping(here.v4)).toMatchObject({ received: 1 })
}, 60_000)

test("a store that is put back to an old snapshot learns again who has what", async () => {
  const running = await streams()
  const before = await Promise.all(world.hosts.map(blocksOf))
  await world.putBack(snapshot)
  for (const host of world.hosts) {
    const noticed = () => host.log.includes("was put back") || undefined
    await waitFor(`${host.name} to notice`, noticed, 20_000)
  }
  await Promise.all([
    whole(a, ["b", "c"]),
    whole(b, ["a", "c"]),
    whole(world.host("c"), ["a", "b"]),
  ])
  await Promise.all(world.hosts.map((host) => attachMany(host, "r", 3)))
  await Promise.all(world.hosts.map(calm))
  for (const [at, blocks] of before.entries()) {
    expect(await blocksOf(world.host(at))).toEqual(expect.arrayContaining(blocks))
  }
  await expectEachOnce()
  await running.expectWhole()
  // What the store says now is enough for one that begins anew.
  await a.stopAgent()
  await a.startAgent()
  await whole(a, ["b", "c"])
  await expectEachOnce()
  for (const container of [there, world.host("c").containers.get("first")]) {
    expect(await here.ping(container?.v4 ?? "", { count: 2 })).toMatchObject({ received: 2 })
  }
}, 90_000)
