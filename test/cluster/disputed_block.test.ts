/** Two hosts that were given one block, since the store forgot the first of them: one keeps it. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import type { BlockReport } from "../../src/agent/cluster/report.ts"
import type { StatusReport } from "../../src/agent/report.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { waitFor } from "../clients/program.ts"
import { askCni } from "../netns/control_call.ts"
import type { LabContainer } from "../vm/lab_container.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { blocksOf, calm, whole } from "./agents.ts"
import { EtcdLab } from "./etcd_lab.ts"
import { NETWORK } from "./intruder.ts"

const BLOCK = "10.42.200.0/28"
/** A host that goes over its blocks every 30 s has done so meanwhile, milliseconds. */
const STEADY_MS = 35_000

let world: EtcdLab
let a: LabHost
let b: LabHost
let c: LabHost
let there: LabContainer
/** Of the host that had the block first. */
let old: LabContainer
let fresh: LabContainer

beforeAll(async () => {
  const network = { driverKeys: { block_size: 28 } }
  world = await EtcdLab.start({ network, hostTimeout: "5s" })
  ;[a, b] = [world.host("a"), world.host("b")]
  there = await b.attach("there")
  const snapshot = join(world.lab.directory, "snapshot")
  await world.etcd.snapshot(snapshot)
  old = await a.attach("old", asking(a, "10.42.200.5"))
  await a.killAgent()
  await world.putBack(snapshot)
  await waitFor("b to notice", () => b.log.includes("was put back") || undefined, 20_000)
  c = await world.enter("c")
  await Promise.all([whole(b, ["c"]), whole(c, ["b"])])
  fresh = await c.attach("fresh", asking(c, "10.42.200.6"))
}, 90_000)

afterAll(() => world?.close())

function asking(host: LabHost, address: string) {
  return { conf: { ...host.options.conf, runtimeConfig: { ips: [address] } } }
}

/** Who holds the block, by a host's word. */
async function holderSeenBy(host: LabHost): Promise<string[]> {
  const all = await host.ask<BlockReport[]>("blocks")
  return all.filter(({ block }) => block === BLOCK).map((one) => one.host)
}

/** The store's record of it, with its revision. */
function claim(): Promise<string> {
  return world.etcd.ctl(["get", new Keyspace("lab").block(NETWORK, BLOCK), "--write-out=json"])
}

test("the host that comes back leaves the block to the one whose claim the store has seen", async () => {
  await a.startAgent()
  await Promise.all([whole(a, ["b", "c"]), whole(b, ["a", "c"]), whole(c, ["a", "b"])])
  for (const host of [a, b, c]) {
    await waitFor(
      `${host.name} to know`,
      async () => (await holderSeenBy(host)).join() === "c" || undefined,
      20_000,
    )
  }
  expect(await blocksOf(a)).not.toContain(BLOCK)
  await calm(c)
  const told = await a.until<StatusReport>("status", ({ problems }) =>
    problems.some(({ code }) => code === "address-taken"),
  )
  expect(told.problems).toHaveLength(1)
  const [problem] = told.problems
  expect(problem?.what).toContain(`block ${BLOCK} of network ${NETWORK} is c's`)
  expect(problem?.what).toContain("(10.42.200.5)")
  expect((await a.lariat("status")).stdout).toContain("make those containers anew")
}, 60_000)

test("the one that keeps it is reached by all others, and its containers are told of", async () => {
  expect(await there.ping(fresh.v4, { count: 2 })).toMatchObject({ received: 2 })
  expect(await fresh.ping(there.v4)).toMatchObject({ received: 1 })
  expect(await b.netns.run("ip", "route", "show", "proto", "76")).toContain(BLOCK)
})

test("the other gives no address of it, and goes on with what it gave", async () => {
  await expect(a.attach("late", asking(a, "10.42.200.7"))).rejects.toThrow("is host c's")
  const next = await a.attach("next")
  expect(next.v4).not.toStartWith("10.42.200.")
  expect(await next.ping(there.v4, { count: 2 })).toMatchObject({ received: 2 })
  expect(await next.ping(old.v4)).toMatchObject({ received: 1 })
  expect(await old.ping(next.v4)).toMatchObject({ received: 1 })
  const check = await askCni(a.socket, "CHECK", old.attachment, {
    ...a.options.conf,
    prevResult: old.result,
  })
  expect(check.stdout).toContain("10.42.200.5 is of a block that is another host's now")
})

test("it stays so: nobody writes a claim any more, and a restart changes nothing", async () => {
  const before = await claim()
  await a.stopAgent()
  await a.startAgent()
  await whole(a, ["b", "c"])
  expect(await holderSeenBy(a)).toEqual(["c"])
  await new Promise((resolve) => setTimeout(resolve, STEADY_MS))
  expect(JSON.parse(await claim()).kvs).toEqual(JSON.parse(before).kvs)
  expect(await there.ping(fresh.v4)).toMatchObject({ received: 1 })
}, 90_000)

test("with the last container the block is gone from the host, and is reached from it", async () => {
  await old.detach()
  await calm(a)
  const next = a.containers.get("next")
  await waitFor(
    "the way there",
    async () => ((await next?.ping(fresh.v4))?.received === 1 ? true : undefined),
    20_000,
  )
})
