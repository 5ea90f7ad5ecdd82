/** Hosts whose own address changes under their agent, or comes after its start. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import type { PeerReport } from "../../src/agent/cluster/report.ts"
import type { StatusReport } from "../../src/agent/report.ts"
import { waitFor } from "../clients/program.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabContainer } from "../vm/lab_container.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { TEST_ADDRESSES, UPLINK } from "../vm/underlay.ts"
import { peersOf, problemsOf, whole } from "./agents.ts"

/** How long others may take to follow. It takes about a second; the machine is shared. */
const FOLLOWED_MS = 10_000
/** How often the agent compares everything. */
const REGULAR_CHECK_MS = 10_000
/** A round of probes takes 2 s. */
const PROBED_MS = 8000

let lab: ClusterLab
beforeAll(async () => {
  lab = await ClusterLab.start({
    ...{ hosts: ["a", "b", "late"], driver: "vxlan", agents: false },
    settings: { hostIp: '""', hostTimeout: "6s" },
    network: { confKeys: { mtu: 1500 } },
  })
  for (const host of lab.hosts) {
    await host.netns.run("ip", "-6", "address", "flush", "dev", UPLINK)
    if (host.name !== "late") await lead(host)
  }
  await lab.host("late").netns.run("ip", "-4", "address", "flush", "dev", UPLINK)
  for (const host of lab.hosts) await host.startAgent()
}, 60_000)
afterAll(() => lab?.close())

/** Gives a host its default route. */
async function lead(host: LabHost): Promise<void> {
  await host.netns.run("ip", "route", "replace", "default", "via", TEST_ADDRESSES.v4)
}

function reaches(from: LabContainer, to: LabContainer): Promise<true> {
  return waitFor(
    "an answer",
    async () => ((await from.ping(to.v4)).received > 0 ? true : undefined),
    FOLLOWED_MS,
  )
}

test("peers follow a host to its new address, and status tells it", async () => {
  const [a, b] = [lab.host("a"), lab.host("b")]
  await whole(a, ["b"])
  const [one, two] = [await a.attach("one"), await b.attach("two")]
  await reaches(one, two)
  const moved = b.v4.replace(/\d+$/, "77")
  await b.netns.run("ip", "address", "delete", `${b.v4}/24`, "dev", UPLINK)
  await b.netns.run("ip", "address", "add", `${moved}/24`, "dev", UPLINK)
  await lead(b)
  await reaches(one, two)
  await reaches(two, one)
  const { host } = await b.ask<StatusReport>("status")
  expect(host.ip).toBe(moved)
  const follows = (peers: PeerReport[]) => peers.some(({ address }) => address === moved)
  await a.until<PeerReport[]>("peers", follows, FOLLOWED_MS)
  expect(await problemsOf(b)).toEqual([])
}, 60_000)

test("a host that has no address when its agent starts is reached once it has one", async () => {
  const late = lab.host("late")
  expect((await problemsOf(late)).join("\n")).toMatch(/no address that leads to other hosts yet/)
  expect((await peersOf(lab.host("a"))).map(({ name }) => name)).not.toContain("late")
  await late.netns.run("ip", "address", "add", `${late.v4}/24`, "dev", UPLINK)
  await lead(late)
  await whole(late, ["a", "b"])
  const three = await late.attach("three")
  const one = await lab.host("a").attach("uno")
  await reaches(one, three)
  expect(await problemsOf(late)).toEqual([])
}, 60_000)

test("a default route that goes for a while takes nobody off the mesh", async () => {
  const [a, b] = [lab.host("a"), lab.host("b")]
  await b.netns.run("ip", "route", "delete", "default")
  await waitFor("the problem", async () =>
    (await problemsOf(b)).some((what) => what.includes("is kept until")) ? true : undefined,
  )
  expect((await peersOf(a)).find(({ name }) => name === "b")).toMatchObject({ alive: true })
  await lead(b)
  await waitFor("no problem", async () => ((await problemsOf(b)).length === 0 ? true : undefined))
}, 60_000)

test("another MTU of the way to other hosts is followed by device, probes and advice", async () => {
  const [a, b] = [lab.host("a"), lab.host("b")]
  const device = b.netns.links().find(({ kind }) => kind === "vxlan")
  expect(device?.mtu).toBe(1450)
  const setMtu = async (mtu: number): Promise<void> => {
    for (const { netns } of [...lab.hosts, ...lab.store.members]) {
      await netns.run("ip", "link", "set", UPLINK, "mtu", String(mtu))
    }
  }
  for (const mtu of [1450, 1500, 1400]) {
    await setMtu(mtu)
    const isFollowed = () =>
      b.netns.links().find(({ kind }) => kind === "vxlan")?.mtu === mtu - 50 || undefined
    // Each time, so that no regular check that happens to come helps.
    await waitFor(`an MTU of ${mtu} less 50`, isFollowed, REGULAR_CHECK_MS / 2)
  }
  await waitFor(
    "advice",
    async () =>
      (await problemsOf(b)).some((what) => what.includes("mtu 1500 is more than the 1400")) ||
      undefined,
  )
  // Three rounds of probes at a size that does not pass make a peer degraded.
  await new Promise((resolve) => setTimeout(resolve, PROBED_MS))
  await whole(a, ["b", "late"])
}, 60_000)
