/** Two hosts with agents, IPsec between them: what must never happen, under streams that count. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test"
import type { PeerReport, RotationReport } from "../../src/agent/cluster/report.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { deleteState, listStates } from "../../src/netlink/xfrm/state.ts"
import { ClusterLab } from "./cluster_lab.ts"
import type { LabContainer } from "./lab_container.ts"
import type { LabHost } from "./lab_host.ts"
import { startUdp, transferTcp, type UdpResult } from "./traffic.ts"

/** Packets a second, and bytes of each. */
const STREAM = { rate: 2000, size: 512 }

let lab: ClusterLab
let a: LabHost
let b: LabHost
let here: LabContainer
let there: LabContainer

beforeAll(async () => {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec", members: 1 })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  for (const host of [a, b]) await settled(host)
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
}, 120_000)

afterAll(async () => {
  await lab?.close()
})

/** Errors that a test counted are not the next one's. */
let before: Record<string, number>[] = []
beforeAll(() => {
  before = statistics()
})
afterEach(() => {
  before = statistics()
})

/** Until a host reaches every other one, and all use the newest keys alone. */
async function settled(host: LabHost): Promise<void> {
  await host.until<PeerReport[]>("peers", (peers) => {
    return (
      peers.length > 0 && peers.every(({ paths }) => paths.every(({ state }) => state === "up"))
    )
  })
  await host.until<RotationReport>("rotation", ({ settled }) => settled)
}

function statistics(): Record<string, number>[] {
  return [a, b].map((host) => host.xfrmStatistics())
}

/** The counters of errors that grew since the test began. */
function grown(): Record<string, number>[] {
  return statistics().map((now, at) =>
    Object.fromEntries(
      Object.entries(now)
        .map(([name, count]) => [name, count - (before[at]?.[name] ?? 0)] as const)
        .filter(([, by]) => by !== 0),
    ),
  )
}

function expectWhole(result: UdpResult): void {
  expect(result.lost).toEqual([])
  expect(result).toMatchObject({ duplicates: 0, sendErrors: 0 })
}

test("containers of two hosts reach each other, by ESP alone", async () => {
  const capture = lab.capture(b)
  expect(await here.ping(there.v4, { count: 3 })).toMatchObject({ received: 3 })
  expect(await here.ping(there.v6, { count: 3 })).toMatchObject({ received: 3 })
  const tcp = await transferTcp(here.place(4), there.place(4), 2_000_000)
  expect(tcp.intact).toBe(true)
  const { count } = capture.stop()
  expect(count.esp).toBeGreaterThan(1000)
  expect(count).toMatchObject({ clear: 0, fragment: 0 })
  expect(grown()).toEqual([{}, {}])
})

test("the largest packet is what the container's link says", async () => {
  const whole = { dontFragment: true, timeoutMs: 2000 }
  expect(await here.ping(there.v4, { ...whole, size: here.mtu })).toMatchObject({ received: 1 })
  expect(await here.ping(there.v4, { ...whole, size: here.mtu + 1 })).toMatchObject({ received: 0 })
})

test("20 rotations under a stream lose no packet", async () => {
  const stream = await startUdp(here.place(4), there.place(4), STREAM)
  await stream.more(500)
  const generations = new Set<number>()
  for (let round = 0; round < 20; round++) {
    const { generation } = await a.ask<RotationReport>("rotate")
    generations.add(generation)
    await stream.more(200)
  }
  await stream.more(2000)
  expectWhole(await stream.stop())
  expect(grown()).toEqual([{}, {}])
}, 120_000)

describe("an agent that goes and comes back touches no packet", () => {
  test.each(["killed", "upgraded"] as const)(
    "%s",
    async (how) => {
      const program = how === "upgraded" ? a.otherProgram() : undefined
      const stream = await startUdp(here.place(4), there.place(4), STREAM)
      await stream.more(500)
      if (how === "killed") await a.killAgent()
      else await a.stopAgent()
      await stream.more(1000)
      await a.startAgent(program)
      await stream.more(2000)
      await settled(a)
      await stream.more(1000)
      expectWhole(await stream.stop())
      expect(grown()).toEqual([{}, {}])
    },
    120_000,
  )
})

test("with every association deleted nothing leaves in clear, and traffic comes back by itself", async () => {
  const capture = lab.capture(a)
  const stream = await startUdp(here.place(4), there.place(4), STREAM)
  await stream.more(1000)
  a.netns.inside(() => {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    for (const state of listStates(socket)) socket.request(deleteState(state))
  })
  await stream.more(2000)
  await settled(a)
  await stream.more(1000)
  const result = await stream.stop()
  expect(result.longestGapMs).toBeLessThan(5000)
  expect(capture.stop().count).toMatchObject({ clear: 0 })
  expect((await a.lariat("status")).stdout).toContain("new keys with b")
}, 120_000)
