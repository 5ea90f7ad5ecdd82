/** A network of two hosts that the configuration calls otherwise: its containers go on. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import type { StatusReport } from "../../src/agent/report.ts"
import { waitFor } from "../clients/program.ts"
import { getMetadata } from "../netns/container.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { overlayConf, overlayYaml } from "../vm/overlay_network.ts"
import { problemsOf, whole } from "./agents.ts"

let lab: ClusterLab
beforeAll(async () => {
  lab = await ClusterLab.start({ driver: "vxlan" })
  await whole(lab.host("a"), ["b"])
}, 60_000)
afterAll(() => lab?.close())

const called = (name: string) => ({ ...lab.network, name })

async function rename(host: LabHost, name: string): Promise<void> {
  host.reload(overlayYaml(called(name)))
  host.options = { ...host.options, conf: overlayConf(called(name)) }
  await host.until<StatusReport>("status", ({ networks }) => networks[0]?.name === name)
}

const devicesOf = (host: LabHost) => host.netns.links().filter(({ kind }) => kind === "vxlan")

test("containers come from the same blocks, and all reach each other under the new name", async () => {
  const [a, b] = [lab.host("a"), lab.host("b")]
  const one = await a.attach("one")
  const two = await b.attach("two")
  for (const host of lab.hosts) await rename(host, "edge")
  const three = await a.attach("three")
  const blockOf = (address: string) => address.split(".").slice(0, 3).join(".")
  expect(blockOf(three.v4)).toBe(blockOf(one.v4))
  for (const to of [one, three]) {
    const answer = async () => ((await two.ping(to.v4)).received > 0 ? true : undefined)
    await waitFor("an answer", answer, 20_000)
  }
  await a.until<StatusReport>("status", ({ cluster }) => cluster?.peers.up === 1)
  for (const host of lab.hosts) expect(devicesOf(host)).toHaveLength(1)
  await one.detach()
  // What was told of a container under the former name is taken back as well.
  await rename(a, "mesh")
  await rename(b, "mesh")
  const known = async () => {
    const { body } = await getMetadata("b-two", "/latest/containers", "application/json")
    const names: string[] = JSON.parse(body).map((found: { name: string }) => found.name)
    return names.sort().join() === "three,two" ? true : undefined
  }
  await waitFor("the containers to be told of", known, 20_000)
  expect(await problemsOf(a)).toEqual([])
}, 90_000)

test("of one that is called otherwise while no agent runs no device stays", async () => {
  const a = lab.host("a")
  await a.stopAgent()
  a.options = { ...a.options, networks: overlayYaml(called("other")) }
  await a.startAgent()
  await waitFor("a device of the new name", () =>
    devicesOf(a).some(({ alias }) => alias.endsWith(" other")) ? true : undefined,
  )
  expect(devicesOf(a)).toHaveLength(1)
}, 60_000)
