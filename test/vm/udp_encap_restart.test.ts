/** An agent that goes and comes back while ESP in UDP runs: its port is a socket of its own. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { join } from "node:path"
import { lariatCommand } from "../netns/lab.ts"
import { ClusterLab } from "./cluster_lab.ts"
import { FdKeeper } from "./fd_keeper.ts"
import { errorsOf, keysLost, settled } from "./host_state.ts"
import type { LabContainer } from "./lab_container.ts"
import type { LabHost } from "./lab_host.ts"
import { startUdp, type UdpResult } from "./traffic.ts"

/** Packets a second, and bytes of each. */
const STREAM = { rate: 2000, size: 512 }

/** As systemd starts a service: LISTEN_PID is the process's own. */
function asService(program: readonly string[] = lariatCommand()): string[] {
  return ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", ...program]
}

let lab: ClusterLab
let a: LabHost
let b: LabHost
let here: LabContainer
let there: LabContainer

beforeAll(async () => {
  const network = { driverKeys: { udp_encapsulation: "udp" } }
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec", members: 1, network })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  for (const host of [a, b]) await settled(host)
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
}, 120_000)
afterAll(async () => {
  await lab?.close()
})

let errors: () => Record<string, number>[]
beforeEach(() => {
  errors = errorsOf(a, b)
})

function expectWhole(result: UdpResult): void {
  expect(result.lost).toEqual([])
  expect(result).toMatchObject({ duplicates: 0, sendErrors: 0 })
}

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
    expect(errors()).toEqual([{}, {}])
  },
  120_000,
)

test.each(["upgraded", "killed"] as const)(
  "where a service manager keeps the socket, nothing is lost when the agent is %s",
  async (how) => {
    await a.stopAgent()
    const keeper = new FdKeeper(join(a.directory, `n-${how}`))
    const { options } = a
    try {
      a.options = { ...options, env: keeper.env }
      await a.startAgent(asService())
      await settled(a)
      expect(keeper.names).toEqual(["lariat-esp4-4500"])
      const stream = await startUdp(there.place(4), here.place(4), STREAM)
      const back = await startUdp(here.place(4), there.place(4), STREAM)
      await stream.more(500)
      const program = how === "upgraded" ? a.otherProgram() : undefined
      await (how === "killed" ? a.killAgent() : a.stopAgent())
      await stream.more(1000)
      a.options = { ...options, ...keeper.hand() }
      await a.startAgent(asService(program))
      await stream.more(2000)
      await settled(a)
      await stream.more(1000)
      expectWhole(await stream.stop())
      expectWhole(await back.stop())
      expect(keeper.names).toEqual(["lariat-esp4-4500"])
      expect(await keysLost(a)).toBe(0)
      expect(errors()).toEqual([{}, {}])
    } finally {
      keeper.close()
      a.options = options
    }
  },
  120_000,
)
