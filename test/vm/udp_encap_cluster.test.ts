/** Hosts with agents, ESP in UDP between them: always, or where a NAT is on the way. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import type { RotationReport } from "../../src/agent/cluster/report.ts"
import { UdpEncapSocket } from "../../src/sys/net/udp_encap.ts"
import { waitFor } from "../clients/program.ts"
import { ClusterLab, type LabOptions } from "./cluster_lab.ts"
import { errorsOf, keysLost, portsOf, settled } from "./host_state.ts"
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

/** Two hosts, each with a container. */
async function start(options: Omit<LabOptions, "driver">): Promise<void> {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec", members: 1, ...options })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  for (const host of [a, b]) await settled(host)
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
}

let errors: () => Record<string, number>[]

function expectWhole(result: UdpResult): void {
  expect(result.lost).toEqual([])
  expect(result).toMatchObject({ duplicates: 0, sendErrors: 0 })
}

describe("udp", () => {
  beforeAll(() => start({ network: { driverKeys: { udp_encapsulation: "udp" } } }), 120_000)
  afterAll(async () => await lab?.close())
  beforeEach(() => {
    errors = errorsOf(a, b)
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
    expect(errors()).toEqual([{}, {}])
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
    expect(errors()).toEqual([{}, {}])
  }, 120_000)
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
    errors = errorsOf(a, b)
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
    expect(errors()).toEqual([{}, {}])
  })
})
