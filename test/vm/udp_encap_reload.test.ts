/** ESP in UDP begun, moved and ended under running agents, by a reload of their files. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import type { RotationReport } from "../../src/agent/cluster/report.ts"
import { UdpEncapSocket } from "../../src/sys/net/udp_encap.ts"
import { waitFor } from "../clients/program.ts"
import { ClusterLab } from "./cluster_lab.ts"
import { keysLost, portsOf, settled } from "./host_state.ts"
import type { LabContainer } from "./lab_container.ts"
import type { LabHost } from "./lab_host.ts"
import { overlayYaml } from "./overlay_network.ts"
import { startUdp } from "./traffic.ts"

/** Packets a second, and bytes of each. */
const STREAM = { rate: 1000, size: 512 }
/** Keys that were used before are gone within that. */
const GONE_MS = 60_000
/** A port that nobody names any more is closed within that, once nobody uses it. */
const CLOSED_MS = 60_000

let lab: ClusterLab
let a: LabHost
let b: LabHost
let here: LabContainer
let there: LabContainer

beforeAll(async () => {
  lab = await ClusterLab.start({ hosts: ["a", "b"], driver: "ipsec" })
  ;[a, b] = [lab.host("a"), lab.host("b")]
  for (const host of [a, b]) await settled(host)
  ;[here, there] = [await a.attach("here"), await b.attach("there")]
}, 120_000)
afterAll(async () => {
  await lab?.close()
})

let lostBefore: number[]
beforeEach(async () => {
  lostBefore = [await keysLost(a), await keysLost(b)]
})

function reload(host: LabHost, driverKeys: Record<string, string | number>): void {
  host.reload(overlayYaml({ ...lab.network, driverKeys }))
}

/** Waits until all of a host's associations go to and come from these ports; undefined: no UDP. */
async function uses(host: LabHost, out: number | undefined): Promise<void> {
  await waitFor(
    `${host.name} to send to ${out}`,
    () => (JSON.stringify(portsOf(host).out) === JSON.stringify([out]) ? true : undefined),
    GONE_MS,
  )
  await settled(host)
}

/** The UDP ports that somebody has in a host's namespace. */
function openPorts(host: LabHost): number[] {
  const text = host.netns.inside(() => readFileSync("/proc/thread-self/net/udp", "utf8"))
  return [...text.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) /gm)].map(([, port = ""]) =>
    Number.parseInt(port, 16),
  )
}

/** Streams both ways while something is changed, and says what was lost of them. */
async function under(what: string, change: () => Promise<void>): Promise<number> {
  const streams = await Promise.all([
    startUdp(here.place(4), there.place(4), STREAM),
    startUdp(there.place(4), here.place(4), STREAM),
  ])
  const capture = lab.capture(b)
  for (const stream of streams) await stream.more(500)
  await change()
  for (const stream of streams) await stream.more(500)
  const results = await Promise.all(streams.map((stream) => stream.stop()))
  const { count } = capture.stop()
  const lost = results.reduce((sum, result) => sum + result.lost.length, 0)
  const sent = results.reduce((sum, result) => sum + result.sent, 0)
  const gap = Math.round(Math.max(...results.map(({ longestGapMs }) => longestGapMs)))
  console.log(`${what}: ${lost} of ${sent} lost, longest gap ${gap} ms`)
  expect(count.clear).toBe(0)
  for (const { duplicates, sendErrors } of results) {
    expect({ duplicates, sendErrors }).toEqual({ duplicates: 0, sendErrors: 0 })
  }
  // No keys were thrown away: others took their place.
  expect([await keysLost(a), await keysLost(b)]).toEqual(lostBefore)
  return lost
}

const mtu = (host: LabHost) => host.netns.links().find(({ name }) => name.startsWith("lrx"))?.mtu

test("ESP goes in UDP once both hosts want it, and is as large as fits", async () => {
  expect(mtu(a)).toBe(1446)
  await under("one host alone", async () => {
    reload(a, { udp_encapsulation: "udp" })
    await waitFor("the port", () => (openPorts(a).includes(4500) ? true : undefined))
    await settled(a)
  })
  expect(portsOf(a)).toEqual({ out: [undefined], in: [undefined] })
  const lost = await under("none to udp", async () => {
    reload(b, { udp_encapsulation: "udp" })
    for (const host of [a, b]) await uses(host, 4500)
  })
  expect(lost).toBeLessThan(100)
  expect([mtu(a), mtu(b)]).toEqual([1438, 1438])
}, 120_000)

test("another port takes the place of the first one, with the same keys", async () => {
  const generations = () => Promise.all([a, b].map((host) => host.ask<RotationReport>("rotation")))
  const before = await generations()
  const lost = await under("another port", async () => {
    reload(a, { udp_encapsulation: "udp", port: 4600 })
    await uses(b, 4600)
    await uses(a, 4500)
  })
  expect(lost).toBeLessThan(100)
  // Who has not heard of it yet still sends to the old one.
  expect(openPorts(a)).toEqual(expect.arrayContaining([4500, 4600]))
  expect(await generations()).toEqual(before)
}, 120_000)

test("a port that cannot be had leaves the one before it in use", async () => {
  await under("a port that is another's", async () => {
    const other = b.netns.inside(() => UdpEncapSocket.open(4, 4700))
    try {
      reload(b, { udp_encapsulation: "udp", port: 4700 })
      await b.until<{ problems: { what: string }[] }>("status", ({ problems }) =>
        problems.some(({ what }) => what.includes("Cannot bind UDP port 4700")),
      )
      await uses(a, 4500)
    } finally {
      other.close()
    }
    await uses(a, 4700)
  })
  expect(openPorts(b)).toContain(4700)
}, 120_000)

test("without a NAT, auto is ESP alone again", async () => {
  const lost = await under("udp to auto", async () => {
    for (const host of [a, b]) reload(host, { udp_encapsulation: "auto" })
    for (const host of [a, b]) await uses(host, undefined)
  })
  expect(lost).toBeLessThan(100)
}, 120_000)

test("from auto to none: the ports are closed, and nothing is kept free for UDP", async () => {
  await under("auto to none", async () => {
    for (const host of [a, b]) reload(host, {})
    for (const host of [a, b]) {
      const espPorts = () => openPorts(host).filter((port) => port >= 4500 && port <= 4700)
      await waitFor("ports to be closed", () => espPorts().length === 0 || undefined, CLOSED_MS)
      expect(mtu(host)).toBe(1446)
    }
    for (const host of [a, b]) await settled(host)
  })
}, 120_000)

test("what a running agent cannot change it says, and goes on", async () => {
  reload(a, { cipher: "aes128gcm16" })
  await a.until<{ problems: { what: string }[] }>("status", ({ problems }) =>
    problems.some(({ what }) => what.includes("cannot change cipher (aes256gcm16 to aes128gcm16)")),
  )
  await under("a rotation after it", async () => {
    await a.ask("rotate")
    for (const host of [a, b]) await settled(host)
  })
}, 120_000)
