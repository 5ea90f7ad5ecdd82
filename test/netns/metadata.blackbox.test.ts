/** The metadata API tells a container who it is, by the address that it asks from. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { run, waitFor } from "../clients/program.ts"
import { attach, attached, type Container, getMetadata, removed } from "./container.ts"
import { addressesOf, mustLink } from "./kernel_view.ts"
import { ipIn, Lab, SEED_CONF } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"
import { HOST_IP, OUTSIDE, wireOutside } from "./outside.ts"

/** External services that the agent is told of by a file. */
const OBJECTS = "/run/tmp/lariat-objects.yml"
const externals = (...names: readonly string[]) =>
  names
    .map(
      (name) => `- {metadata_kind: service, uuid: ${name}, name: ${name}, kind: externalService}`,
    )
    .join("\n")

let lab: Lab
let one: Container
beforeAll(async () => {
  writeFileSync(OBJECTS, externals("mail"))
  lab = await Lab.start({
    configs: [dualStackYaml()],
    settings: {
      createBridge: "always",
      quarantine: "1s",
      hostIp: HOST_IP,
      hostLabels: "{zone: edge-7}",
      objects: OBJECTS,
    },
  })
  await wireOutside(lab)
  one = await attached(lab, "one", {
    conf: DUAL_CONF,
    args: "IgnoreUnknown=1;K8S_POD_NAME=web-1;RancherContainerUUID=11111111-2222-4333-8444-555555555555",
  })
})
afterAll(async () => {
  await removed(lab, "one", { conf: DUAL_CONF })
  await lab.close()
})

const json = async (netns: string, path: string) =>
  JSON.parse((await getMetadata(netns, path, "application/json")).body)

test("a container learns its name, addresses and MAC", async () => {
  const text = async (path: string) => await getMetadata("one", `/latest/self/container/${path}`)
  expect(await text("name")).toEqual({ status: 200, body: "web-1" })
  expect(await text("primary_ip")).toEqual({ status: 200, body: one.address })
  expect(await text("external_id")).toEqual({ status: 200, body: "one" })
  const { address: mac } = await mustLink("eth0", "one")
  expect(await text("primary_mac_address")).toEqual({ status: 200, body: mac })
  expect(await text("uuid")).toEqual({
    status: 200,
    body: "11111111-2222-4333-8444-555555555555",
  })
  const addresses = (await addressesOf("eth0", "one")).map((text) => text.split("/")[0] ?? "")
  expect(await json("one", "/latest/self/container/ips")).toEqual(addresses)
})

test("a container learns its host", async () => {
  const { host } = await lab.status()
  expect(await json("one", "/latest/self/host")).toMatchObject({
    name: hostname(),
    hostname: hostname(),
    agent_ip: HOST_IP,
    uuid: host.uuid,
    labels: { zone: "edge-7" },
  })
  const container = await json("one", "/latest/self/container")
  expect(container).toMatchObject({ name: "web-1", state: "running", host_uuid: host.uuid })
})

test("lists are browsed as text, with a slash for what goes on", async () => {
  expect((await getMetadata("one", "/")).body).toContain("latest")
  expect((await getMetadata("one", "/latest/self")).body.trim().split("\n")).toEqual([
    "container/",
    "host/",
  ])
})

test.each([
  ["/latest/self/container/nope", 404],
  ["/1999-01-01", 404],
  ["/latest/%zz", 400],
  ["/latest/self/container/name/", 200],
])("%s is answered with %d", async (path, status) => {
  expect((await getMetadata("one", path)).status).toBe(status)
})

test("each of two containers is told about itself alone", async () => {
  const two = await attached(lab, "two", { conf: DUAL_CONF })
  expect((await getMetadata("two", "/latest/self/container/primary_ip")).body).toBe(two.address)
  expect((await getMetadata("one", "/latest/self/container/primary_ip")).body).toBe(one.address)
  await removed(lab, "two", { conf: DUAL_CONF })
})

test("the next owner of an address is told about itself, not about the one before", async () => {
  const args = "IP=10.52.4.4"
  await attached(lab, "former", { conf: DUAL_CONF, args })
  await removed(lab, "former", { conf: DUAL_CONF })
  await attached(lab, "latter", { conf: DUAL_CONF, args })
  expect((await getMetadata("latter", "/latest/self/container/external_id")).body).toBe("latter")
  await removed(lab, "latter", { conf: DUAL_CONF })
})

describe("who is no container", () => {
  test("the host itself sees the host alone", async () => {
    const ask = (path: string) =>
      run([
        ...["bash", "-c"],
        `exec 3<>/dev/tcp/169.254.169.250/80; printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`,
      ])
    expect(await ask("/latest/self")).toEndWith("host/\n")
    expect(await ask("/latest/self/container")).toMatch(/^HTTP\/1\.[01] 404/)
  })

  test("an address of the network that nobody gave out sees the host alone", async () => {
    const conf = { ...DUAL_CONF, antiSpoofing: false }
    await attached(lab, "liar", { conf })
    await ipIn("liar", "address", "flush", "dev", "eth0")
    await ipIn("liar", "address", "add", "10.52.77.77/16", "dev", "eth0")
    await ipIn("liar", "route", "add", "default", "via", "10.52.0.1")
    expect((await getMetadata("liar", "/latest/self")).body.trim()).toBe("host/")
    expect((await getMetadata("liar", "/latest/self/container")).status).toBe(404)
    await removed(lab, "liar", { conf })
  })

  test("an address from elsewhere is refused, and told nothing", async () => {
    await ipIn(OUTSIDE, "route", "add", "169.254.169.250/32", "via", HOST_IP)
    const answer = await getMetadata(OUTSIDE, "/latest/self/host")
    expect(answer).toEqual({ status: 403, body: "Forbidden\n" })
    expect((await getMetadata(OUTSIDE, "/")).status).toBe(403)
  })
})

test("what a file adds is shown, and changes with the file at the latest on SIGHUP", async () => {
  const services = async () => (await getMetadata("one", "/latest/services")).body
  expect(await services()).toBe("0=mail\n")
  writeFileSync(OBJECTS, externals("archive", "mail"))
  process.kill(lab.pid, "SIGHUP")
  await waitFor("the file to be read again", async () =>
    (await services()) === "0=archive\n1=mail\n" ? true : undefined,
  )
})

test("a container that is attached later, to another network, is told about itself", async () => {
  const conf = { ...SEED_CONF, name: "late", bridge: "late0", bridgeSubnet: "10.91.0.0/24" }
  await lab.netns("late")
  const late = await attach(lab, "late", { conf })
  expect((await getMetadata("late", "/latest/self/container/primary_ip")).body).toBe(late.address)
  await removed(lab, "late", { conf })
})

test("the API answers again after the agent started again", async () => {
  await lab.stopAgent()
  await lab.startAgent()
  expect((await getMetadata("one", "/latest/self/container/name")).body).toBe("web-1")
})
