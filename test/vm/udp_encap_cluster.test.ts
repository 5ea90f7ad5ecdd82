/** Hosts with agents, ESP in UDP between them: always, or where a NAT is on the way. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { join } from "node:path"
import type { RotationReport } from "../../src/agent/cluster/report.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { listStates } from "../../src/netlink/xfrm_state.ts"
import { UdpEncapSocket } from "../../src/sys/udp_encap.ts"
import { waitFor } from "../clients/program.ts"
import { lariatCommand } from "../netns/lab.ts"
import { ClusterLab, type LabOptions } from "./cluster_lab.ts"
import { FdKeeper } from "./fd_keeper.ts"
import { keysLost, settled } from "./host_state.ts"
import type { LabContainer } from "./lab_container.ts"
import type { LabHost } from "./lab_host.ts"
import { startUdp, transferTcp, type UdpResult } from "./traffic.ts"

/** Packets a second, and bytes of each. */
const STREAM = { rate: 2000, size: 512 }
/** With which systemd starts a service: LISTEN_PID is the process's own. */
const AS_SERVICE = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", ...lariatCommand()]

let lab: ClusterLab
let a: LabHost
let b: LabHost
let here: LabContainer
let there: LabContainer

/** Two hosts, each with a container. */
async function start(options: Omit<LabOptions, "driver">): Promise<void> {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec", members: 1, ...options })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  for (const host of [a, b]) await settled(host)
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
}

let before: Record<string, number>[] = []
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

/** The ports that a host's associations go to and come from. */
function portsOf(host: LabHost): { readonly out: unknown[]; readonly in: unknown[] } {
  const states = host.netns.inside(() => {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    return listStates(socket)
  })
  const own = (address: string) => address === host.v4
  const ports = (wanted: boolean) => [
    ...new Set(
      states
        .filter(({ source }) => own(source) === wanted)
        .map(({ encapsulation }) => encapsulation?.[wanted ? "destinationPort" : "sourcePort"]),
    ),
  ]
  return { out: ports(true), in: ports(false) }
}

describe("udp", () => {
  beforeAll(() => start({ network: { driverKeys: { udp_encapsulation: "udp" } } }), 120_000)
  afterAll(async () => await lab?.close())
  beforeEach(() => {
    before = statistics()
  })

  test("the first keys are made for UDP", async () => {
    for (const host of [a, b]) {
      expect(portsOf(host)).toEqual({ out: [4500], in: [4500] })
      expect(await keysLost(host)).toBe(0)
    }
    expect(a.log).toContain("no service manager keeps the UDP sockets")
  })

  test("containers of two hosts reach each other, by ESP in UDP alone", async () => {
    const capture = lab.capture(b)
    expect(await here.ping(there.v4, { count: 3 })).toMatchObject({ received: 3 })
    expect(await here.ping(there.v6, { count: 3 })).toMatchObject({ received: 3 })
    const tcp = await transferTcp(here.place(4), there.place(4), 2_000_000)
    expect(tcp.intact).toBe(true)
    const { count } = capture.stop()
    expect(count["udp-esp"]).toBeGreaterThan(1000)
    expect(count).toMatchObject({ clear: 0, fragment: 0, esp: 0 })
    expect(grown()).toEqual([{}, {}])
  })

  test("the largest packet is what the container's link says", async () => {
    const whole = { dontFragment: true, timeoutMs: 2000 }
    expect(await here.ping(there.v4, { ...whole, size: here.mtu })).toMatchObject({ received: 1 })
    const over = { ...whole, size: here.mtu + 1 }
    expect(await here.ping(there.v4, over)).toMatchObject({ received: 0 })
  })

  test("20 rotations under a stream lose no packet", async () => {
    const stream = await startUdp(here.place(4), there.place(4), STREAM)
    await stream.more(500)
    for (let round = 0; round < 20; round++) {
      await a.ask<RotationReport>("rotate")
      await stream.more(200)
    }
    await stream.more(2000)
    expectWhole(await stream.stop())
    expect(grown()).toEqual([{}, {}])
  }, 120_000)

  test.each(["stopped", "killed"] as const)(
    "without a service manager, what comes while the agent is %s is lost, and nothing else",
    async (how) => {
      const stream = await startUdp(there.place(4), here.place(4), STREAM)
      const back = await startUdp(here.place(4), there.place(4), STREAM)
      await stream.more(500)
      await (how === "killed" ? a.killAgent() : a.stopAgent())
      await a.startAgent()
      await stream.more(2000)
      await settled(a)
      await stream.more(500)
      const result = await stream.stop()
      expectWhole(await back.stop())
      const [first = 0, last = 0] = [result.lost[0], result.lost.at(-1)]
      console.log(
        `${how}: ${result.lost.length} of ${result.sent} lost, gap ${Math.round(result.longestGapMs)} ms`,
      )
      // One gap, as long as the port was nobody's.
      expect(result.lost).toHaveLength(last - first + 1)
      expect(await keysLost(a)).toBe(0)
      expect(grown()).toEqual([{}, {}])
    },
    120_000,
  )

  test.each(["stopped", "killed"] as const)(
    "where a service manager keeps the socket, nothing is lost while the agent is %s",
    async (how) => {
      await a.stopAgent()
      const keeper = new FdKeeper(join(a.directory, `n-${how}`))
      const { options } = a
      try {
        a.options = { ...options, env: keeper.env }
        await a.startAgent(AS_SERVICE)
        await settled(a)
        expect(keeper.names).toEqual(["lariat-esp4-4500"])
        const stream = await startUdp(there.place(4), here.place(4), STREAM)
        const back = await startUdp(here.place(4), there.place(4), STREAM)
        await stream.more(500)
        await (how === "killed" ? a.killAgent() : a.stopAgent())
        await stream.more(1000)
        a.options = { ...options, ...keeper.hand() }
        await a.startAgent(AS_SERVICE)
        await stream.more(2000)
        await settled(a)
        await stream.more(1000)
        expectWhole(await stream.stop())
        expectWhole(await back.stop())
        expect(keeper.names).toEqual(["lariat-esp4-4500"])
        expect(await keysLost(a)).toBe(0)
        expect(grown()).toEqual([{}, {}])
      } finally {
        keeper.close()
        a.options = options
      }
    },
    120_000,
  )
})

describe("where another program has the port", () => {
  beforeAll(() => start({ network: { driverKeys: { udp_encapsulation: "udp" } } }), 120_000)
  afterAll(async () => await lab?.close())

  test("it is said, ESP goes without UDP, and with it once the port is free", async () => {
    await a.stopAgent()
    const other = a.netns.inside(() => UdpEncapSocket.open(4))
    try {
      await a.startAgent()
      await settled(a)
      const { stdout } = await a.lariat("status")
      expect(stdout).toContain("Cannot bind UDP port 4500 of IPv4 for ESP")
      const capture = lab.capture(b)
      expect(await here.ping(there.v4, { count: 3 })).toMatchObject({ received: 3 })
      const { count } = capture.stop()
      expect(count.esp).toBeGreaterThanOrEqual(6)
      expect(count).toMatchObject({ clear: 0, "udp-esp": 0 })
    } finally {
      other.close()
    }
    const inUdp = () => [a, b].every((host) => String(portsOf(host).out) === "4500")
    await waitFor("UDP", () => (inUdp() ? true : undefined), 30_000)
    await waitFor("an answer", async () => (await here.ping(there.v4)).received || undefined)
    const capture = lab.capture(b)
    expect(await here.ping(there.v4, { count: 3 })).toMatchObject({ received: 3 })
    const { count } = capture.stop()
    expect(count["udp-esp"]).toBeGreaterThanOrEqual(6)
    expect(count).toMatchObject({ clear: 0, esp: 0 })
    expect((await a.lariat("status")).stdout).not.toContain("Cannot bind UDP port")
  }, 120_000)
})

describe("auto without a NAT", () => {
  beforeAll(() => start({ network: { driverKeys: { udp_encapsulation: "auto" } } }), 120_000)
  afterAll(async () => await lab?.close())

  test("is ESP alone, with room for UDP kept free", async () => {
    before = statistics()
    const capture = lab.capture(b)
    expect(await here.ping(there.v4, { count: 3 })).toMatchObject({ received: 3 })
    const { count } = capture.stop()
    expect(count.esp).toBeGreaterThanOrEqual(6)
    expect(count).toMatchObject({ clear: 0, fragment: 0, "udp-esp": 0 })
    expect(here.mtu).toBe(1438)
    for (const host of [a, b]) {
      expect(portsOf(host)).toEqual({ out: [undefined], in: [undefined] })
      expect(await keysLost(host)).toBe(0)
    }
    expect(grown()).toEqual([{}, {}])
  })
})
