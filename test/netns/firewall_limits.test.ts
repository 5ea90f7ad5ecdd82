/** What one source may ask of the host's services: real packets against the kernel's limits. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { Firewall } from "../../src/firewall/firewall.ts"
import type { LimitValues } from "../../src/firewall/limits.ts"
import type { FirewallState } from "../../src/firewall/state.ts"
import { attempt, run, waitFor } from "../clients/program.ts"
import { FirewallLab, PORT } from "./firewall_lab.ts"
import { inNetns } from "./lab.ts"

const HOST = { 4: "10.42.0.1", 6: "fd00:42::1" } as const
const FAMILIES = [4, 6] as const
const NONE: LimitValues = {
  connections: 0,
  connectionsInAll: 0,
  connectionsPerSecond: 0,
  bytesPerSecond: 0,
  queriesPerSecond: 0,
}

function limited(values: Partial<LimitValues>): FirewallState {
  const services = FAMILIES.flatMap((family) =>
    (["tcp", "udp"] as const).map((protocol) => ({ protocol, address: HOST[family], port: PORT })),
  )
  const limits = { services, values: { ...NONE, ...values } }
  return { hostNat: [], overlay: [], masquerade: [], limits }
}

let lab: FirewallLab
let firewall: Firewall

beforeAll(async () => {
  lab = await FirewallLab.build()
  firewall = Firewall.open()
})

afterAll(async () => {
  firewall?.close()
  await lab?.close()
})

const flood = (family: 4 | 6): string =>
  `for i in {1..40}; do echo x > /dev/udp/${HOST[family]}/${PORT}; done`

const openings = (family: 4 | 6, count: number): string =>
  Array.from({ length: count }, (_, at) => {
    return `exec ${at + 3}<>/dev/tcp/${HOST[family]}/${PORT}`
  }).join("; ")

const open = (family: 4 | 6, count: number): string[] => [
  ...["timeout", "1", "bash", "-c"],
  openings(family, count),
]

/** Connections that the host's peer has, of anybody. */
async function opened(): Promise<number> {
  const listed = await run(["ss", "-Htn", "state", "established", `sport = :${PORT}`])
  return listed.split("\n").filter((line) => line !== "").length
}

test("this kernel holds all limits", () => {
  const names = Object.keys(NONE)
  const values = Object.fromEntries(names.map((name) => [name, 3]))
  firewall.ensure(limited(values))
  expect(firewall.lacking()).toEqual([])
  expect(firewall.matches()).toBe(true)
})

test.each(FAMILIES)(
  "datagrams of IPv%d beyond the rate are dropped, not others'",
  async (family) => {
    firewall.ensure(limited({ queriesPerSecond: 5 }))
    const before = firewall.dropped()
    await inNetns("a", "bash", "-c", flood(family))
    const after = firewall.dropped()
    expect(after.queriesPerSecond - before.queriesPerSecond).toBeGreaterThan(20)
    expect(await lab.source("b", "udp", HOST[4])).toBe("10.42.0.3")
    expect(await lab.source("a", "tcp", HOST[family])).not.toBe("")
  },
)

test("the host itself is not bounded", async () => {
  firewall.ensure(limited({ queriesPerSecond: 6 }))
  await attempt(["bash", "-c", flood(4)])
  expect(firewall.dropped().queriesPerSecond).toBe(0)
})

test.each(FAMILIES)("connections of IPv%d at once are bounded", async (family) => {
  firewall.ensure(limited({ connections: 4 + family }))
  expect((await inNetns("a", ...open(family, 4 + family))).status).toBe(0)
  expect(firewall.dropped().connections).toBe(0)
  // Those of the program that has ended may not be forgotten yet.
  firewall.ensure(limited({ connections: 3 + family }))
  expect((await inNetns("a", ...open(family, 4 + family))).status).toBe(124)
  expect(firewall.dropped().connections).toBeGreaterThan(0)
})

test.each(FAMILIES)("connections of IPv%d of all sources together are bounded", async (family) => {
  // 10.42.0.2 and 10.43.0.2 are in one group, 10.42.0.3 is in another.
  firewall.ensure(limited({ connectionsInAll: 16 * (7 + family) }))
  const holding = inNetns("a", "bash", "-c", `${openings(family, 5 + family)}; sleep 3`)
  await waitFor("the connections of one", async () =>
    (await opened()) >= 5 + family ? true : undefined,
  )
  expect((await inNetns("c", ...open(family, 4))).status).toBe(124)
  expect(firewall.dropped().connectionsInAll).toBeGreaterThan(0)
  expect((await inNetns("b", ...open(family, 4))).status).toBe(0)
  await holding
})

test.each(FAMILIES)("bytes by TCP over IPv%d are bounded, not others'", async (family) => {
  firewall.ensure(limited({ bytesPerSecond: 3000 + family }))
  const write = `exec 3<>/dev/tcp/${HOST[family]}/${PORT}; head -c 200000 /dev/zero >&3`
  expect((await inNetns("a", "timeout", "1", "bash", "-c", write)).status).toBe(124)
  expect(firewall.dropped().bytesPerSecond).toBeGreaterThan(0)
  expect(await lab.source("b", "tcp", HOST[4])).toBe("10.42.0.3")
})

test("new connections of a second are bounded", async () => {
  firewall.ensure(limited({ connectionsPerSecond: 2 }))
  expect((await inNetns("a", ...open(4, 10))).status).toBe(124)
  expect(firewall.dropped().connectionsPerSecond).toBeGreaterThan(0)
})
