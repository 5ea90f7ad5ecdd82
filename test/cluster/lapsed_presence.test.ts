/** An agent that starts while another host's presence has just ended: what stands for it stays. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import type { PeerReport } from "../../src/agent/cluster/report.ts"
import type { StatusReport } from "../../src/agent/report.ts"
import { waitFor } from "../clients/program.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabContainer } from "../vm/lab_container.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { startUdp } from "../vm/traffic.ts"
import { blocksOf, expectUntouched, idOf, peersOf, whole } from "./agents.ts"
import { Intruder } from "./intruder.ts"

/** Half of it until the presence ends, half of it until others act on that. */
const HOST_TIMEOUT = "24s"
const LAPSE_MS = 20_000

let lab: ClusterLab
let intruder: Intruder
let a: LabHost
let b: LabHost
let here: LabContainer
let there: LabContainer

beforeAll(async () => {
  lab = await ClusterLab.start({ driver: "vxlan", settings: { hostTimeout: HOST_TIMEOUT } })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  await Promise.all([whole(a, ["b"]), whole(b, ["a"])])
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
  intruder = new Intruder(lab)
}, 60_000)

afterAll(async () => {
  await intruder?.close()
  await lab?.close()
})

/** Until the store holds a host for gone, which others do not yet. */
async function lapse(host: LabHost): Promise<void> {
  const key = intruder.keys.alive(await idOf(host))
  await host.killAgent()
  const over = async () => ((await intruder.read(key)) === undefined ? true : undefined)
  await waitFor(`the presence of ${host.name} to end`, over, LAPSE_MS)
}

const routes = async (host: LabHost) =>
  (await host.netns.run("ip", "route", "show", "proto", "76")) +
  (await host.netns.run("ip", "-6", "route", "show", "proto", "76"))

test.each(["ended in good order", "was killed"])(
  "an agent that %s keeps the other's routes until the host's time is over",
  async (end) => {
    const blocks = await blocksOf(b)
    const stream = await startUdp(here.place(), there.place(), { rate: 200 })
    await stream.more(20)
    await lapse(b)
    expect((await peersOf(a)).map(({ alive }) => alive)).toEqual([true])
    if (end === "was killed") await a.killAgent()
    else await a.stopAgent()
    await a.startAgent()
    // It has heard what the store says, and compared that with the kernel.
    await a.until<StatusReport>("status", ({ cluster }) => cluster?.store.reachable === true)
    await waitFor("its peer", async () => (await peersOf(a))[0])
    await stream.more(400)
    await expectUntouched(stream)
    for (const block of blocks) expect(await routes(a)).toContain(block)
    expect(await here.ping(there.v6)).toMatchObject({ received: 1 })

    await waitFor(
      "the host to be off the mesh",
      async () => (await peersOf(a)).every(({ alive }) => !alive) || undefined,
      LAPSE_MS,
    )
    for (const block of blocks) expect(await routes(a)).not.toContain(block)
    await b.startAgent()
    await Promise.all([whole(a, ["b"]), whole(b, ["a"])])
    expect(await here.ping(there.v4, { count: 2 })).toMatchObject({ received: 2 })
  },
  90_000,
)

test("a host that was off the mesh before is not on it again because an agent starts", async () => {
  const blocks = await blocksOf(b)
  await lapse(b)
  await a.until<PeerReport[]>("peers", (peers) => peers.every(({ alive }) => !alive))
  await a.stopAgent()
  await a.startAgent()
  await waitFor("its peer", async () => (await peersOf(a))[0])
  expect((await peersOf(a)).map(({ alive }) => alive)).toEqual([false])
  for (const block of blocks) expect(await routes(a)).not.toContain(block)
}, 90_000)
