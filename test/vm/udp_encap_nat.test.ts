/** A host behind a NAT, its agent and another's: ESP in UDP where it is needed, and only there. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import type { BlockReport, RotationReport } from "../../src/agent/cluster/report.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { listStates } from "../../src/netlink/xfrm/state.ts"
import { waitFor } from "../clients/program.ts"
import { ClusterLab } from "./cluster_lab.ts"
import { errorsOf, keysLost, settled } from "./host_state.ts"
import type { LabContainer } from "./lab_container.ts"
import type { LabHost } from "./lab_host.ts"
import type { Router } from "./router.ts"
import { startUdp, transferTcp } from "./traffic.ts"

/** Packets a second, and bytes of each. */
const STREAM = { rate: 1000, size: 512 }

let lab: ClusterLab
let open: LabHost
let hidden: LabHost
let here: LabContainer
let there: LabContainer

beforeAll(async () => {
  lab = await ClusterLab.start({
    hosts: ["open", "hidden"],
    driver: "ipsec",
    members: 1,
    network: { driverKeys: { udp_encapsulation: "auto" } },
    routers: { hidden: { nat: true } },
    progressSeconds: 600,
  })
  ;[open, hidden] = [lab.host("open"), lab.host("hidden")]
  for (const host of [open, hidden]) await settled(host)
  ;[here, there] = [await open.attach("here"), await hidden.attach("there")]
}, 120_000)
afterAll(async () => {
  await lab?.close()
})

function router(): Router {
  if (hidden.router === undefined) throw new Error("the host is behind no router")
  return hidden.router
}

/** The ports of the open host's associations that are the other's: one, if all are the same. */
function portsOfHidden(): (number | undefined)[] {
  const states = open.netns.inside(() => {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    return listStates(socket)
  })
  const ports = states.map(({ source, encapsulation }) =>
    source === open.v4 ? encapsulation?.destinationPort : encapsulation?.sourcePort,
  )
  return [...new Set(ports)]
}

test("the first keys are made for UDP, and containers reach each other by it alone", async () => {
  // What is sent before there are keys is blocked, and rightly counted.
  const errors = errorsOf(open, hidden)
  const capture = lab.capture(open)
  expect(await here.ping(there.v4, { count: 3 })).toMatchObject({ received: 3 })
  expect(await there.ping(here.v6, { count: 3 })).toMatchObject({ received: 3 })
  const tcp = await transferTcp(here.place(4), there.place(4), 1_000_000)
  expect(tcp.intact).toBe(true)
  const { count } = capture.stop()
  expect(count["udp-esp"]).toBeGreaterThan(500)
  expect(count).toMatchObject({ clear: 0, fragment: 0, esp: 0 })
  for (const host of [open, hidden]) expect(await keysLost(host)).toBe(0)
  expect(errors()).toEqual([{}, {}])
})

test("an agent that comes back sends where the one before it knew the host to be", async () => {
  const stream = await startUdp(here.place(4), there.place(4), STREAM)
  await stream.more(500)
  await open.killAgent()
  await open.startAgent()
  await stream.more(1000)
  for (const host of [open, hidden]) await settled(host)
  await stream.more(500)
  const { lost, duplicates, sendErrors } = await stream.stop()
  expect({ lost, duplicates, sendErrors }).toEqual({ lost: [], duplicates: 0, sendErrors: 0 })
  expect(await keysLost(open)).toBe(0)
}, 120_000)

test("an agent that comes back keeps its NAT open, also while no store answers", async () => {
  const store = lab.store.members[0]
  await hidden.killAgent()
  store?.pause()
  const capture = lab.capture(hidden)
  try {
    await hidden.startAgent()
    await waitFor("a keepalive", () => (capture.traffic.count.keepalive > 0 ? true : undefined))
  } finally {
    store?.resume()
    capture.stop()
  }
  for (const host of [open, hidden]) await settled(host)
}, 120_000)

test("where the NAT gives the host another port, its keys go on there", async () => {
  const out = await startUdp(there.place(4), here.place(4), STREAM)
  const back = await startUdp(here.place(4), there.place(4), STREAM)
  await Promise.all([out.more(500), back.more(500)])
  const nat = router().netns
  const rule = ["udp", "dport", "4500", "masquerade", "to", ":61000-61999"]
  await nat.run("nft", "insert", "rule", "inet", "nat", "postrouting", ...rule)
  await router().forget()
  await back.more(2000)
  for (const host of [open, hidden]) await settled(host)
  const [sent, got] = [await out.stop(), await back.stop()]
  const [port = 0, ...others] = portsOfHidden()
  console.log(
    `rebound to ${port}: out ${sent.lost.length} of ${sent.sent} lost, back ${got.lost.length} of ${got.sent}, gap ${Math.round(got.longestGapMs)} ms`,
  )
  expect(others).toEqual([])
  expect(port).toBeGreaterThanOrEqual(61_000)
  expect(port).toBeLessThan(62_000)
  expect(got.longestGapMs).toBeLessThan(5000)
  for (const host of [open, hidden]) expect(await keysLost(host)).toBe(0)
}, 120_000)

test("where the NAT itself gets another address, new keys are made", async () => {
  const stream = await startUdp(here.place(4), there.place(4), STREAM)
  await stream.more(500)
  const nat = router().netns
  await nat.run("nft", "flush", "chain", "inet", "nat", "postrouting")
  const rule = ["oifname", "uplink", "ip", "daddr", open.v4, "snat", "ip", "to", "192.0.2.77"]
  nat.configure("uplink", ["192.0.2.77/24"])
  await nat.run("nft", "add", "rule", "inet", "nat", "postrouting", ...rule)
  await nat.run(
    "nft",
    "add",
    "rule",
    "inet",
    "nat",
    "postrouting",
    "oifname",
    "uplink",
    "masquerade",
  )
  // The connections to the store go on: a watch that dies unnoticed is another matter.
  await nat.run("conntrack", "-D", "-p", "udp")
  await stream.more(1000)
  for (const host of [open, hidden]) await settled(host)
  await stream.more(500)
  const { longestGapMs } = await stream.stop()
  console.log(`another address: gap ${Math.round(longestGapMs)} ms`)
  expect((await open.lariat("peers", "--json")).stdout).toContain("192.0.2.77")
}, 120_000)

test("where the NAT is another one, that forgot TCP too, the agents find each other again", async () => {
  const out = await startUdp(there.place(4), here.place(4), STREAM)
  const back = await startUdp(here.place(4), there.place(4), STREAM)
  await Promise.all([out.more(500), back.more(500)])
  await router().move("192.0.2.78", "62000-62999")
  await back.more(500, 60_000)
  for (const host of [open, hidden]) await settled(host)
  const known = await hidden.ask<BlockReport[]>("blocks")
  await open.ask<RotationReport>("rotate")
  for (const host of [open, hidden]) await settled(host)
  await Promise.all([out.more(500), back.more(500)])
  const [sent, got] = [await out.stop(), await back.stop()]
  console.log(
    `another NAT: out ${sent.lost.length} of ${sent.sent} lost, gap ${Math.round(sent.longestGapMs)} ms; back ${got.lost.length} of ${got.sent}, gap ${Math.round(got.longestGapMs)} ms`,
  )
  const [port = 0, ...others] = portsOfHidden()
  expect(others).toEqual([])
  expect(port).toBeGreaterThanOrEqual(62_000)
  expect(port).toBeLessThan(63_000)
  expect((await open.lariat("peers", "--json")).stdout).toContain("192.0.2.78")
  // One gap: the host never went off the mesh.
  expect(open.log).not.toContain("is off the mesh")
  expect(await hidden.ask<BlockReport[]>("blocks")).toEqual(known)
}, 180_000)
