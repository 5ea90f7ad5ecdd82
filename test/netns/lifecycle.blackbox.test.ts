/** The agent comes and goes, and is told of changes; the containers notice nothing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run, waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { linkNames, mustLink } from "./kernel_view.ts"
import { Lab, ownLinks, pings, SEED, SEED_CONF } from "./lab.ts"
import { yamlFile } from "./networks.ts"
import { pinging } from "./pinging.ts"

const LIVE_GROUP = "0x6c720001"

const config = yamlFile(readFileSync(SEED, "utf8"))

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({
    configs: [config],
    settings: { createBridge: "always", quarantine: "1m" },
  })
})
afterAll(() => lab.close())

/** Lets a few pings go by. */
async function aWhile(): Promise<void> {
  await run(["sleep", "0.5"])
}

describe.each<[string, () => Promise<void>]>([
  ["SIGTERM", () => lab.stopAgent()],
  ["SIGKILL", () => lab.kill()],
])("an agent that gets %s and is started again", (_, end) => {
  test("keeps its endpoints and loses no packet", async () => {
    const one = await attached(lab, "one")
    const two = await attached(lab, "two")
    const before = await lab.endpoints()
    const pinger = pinging("one", two.address)
    const toGateway = pinging("two", "10.42.0.1")
    await aWhile()
    await end()
    await aWhile()
    expect(await ownLinks()).toHaveLength(2)
    await lab.startAgent()
    await aWhile()
    for (const { sent, lost } of [await pinger.stop(), await toGateway.stop()]) {
      expect(sent).toBeGreaterThan(10)
      expect(lost).toBe(0)
    }
    expect(await lab.endpoints()).toEqual(before)
    // The place of next-fit is remembered too, and what is in use is not given again.
    const three = await attached(lab, "three")
    expect([one.address, two.address]).not.toContain(three.address)
    for (const id of ["one", "two", "three"]) await removed(lab, id)
    await expectNothingLeft(lab)
  })

  test("remembers which addresses rest", async () => {
    const { address } = await attached(lab, "tired")
    await removed(lab, "tired")
    const quarantined = async () => (await lab.status()).networks[0]?.subnets[0]?.quarantined
    const before = await quarantined()
    await end()
    await lab.startAgent()
    expect(await quarantined()).toBe(before)
    const next = await attached(lab, "awake")
    expect(next.address).not.toBe(address)
    await removed(lab, "awake")
  })
})

describe("what changed while no agent ran", () => {
  test("a container that went away is released at the start", async () => {
    await attached(lab, "left")
    const stays = await attached(lab, "stays")
    await lab.stopAgent()
    await lab.deleteNetns("left")
    await lab.startAgent()
    expect((await lab.endpoints()).map(({ containerId }) => containerId)).toEqual(["stays"])
    expect(await pings("stays", "10.42.0.1")).toBe(true)
    expect(stays.address).not.toBe("")
    await removed(lab, "stays")
    await expectNothingLeft(lab)
  })

  test("a port that was moved is put back at the start", async () => {
    const one = await attached(lab, "moved")
    const port = one.result.interfaces?.[1]?.name ?? ""
    await lab.stopAgent()
    await run(["ip", "link", "set", port, "nomaster"])
    await lab.startAgent()
    expect(await mustLink(port)).toMatchObject({ master: "docker0", operstate: "UP" })
    expect(await pings("moved", "10.42.0.1")).toBe(true)
    await removed(lab, "moved")
  })

  test("a stray link of ours is deleted at the start, one of others is not", async () => {
    await attached(lab, "kept")
    await lab.stopAgent()
    await run(["ip", "link", "add", "lrtaaaaaaaaaaa", "type", "veth", "peer", "name", "stray1"])
    await run(["ip", "link", "set", "lrtaaaaaaaaaaa", "group", LIVE_GROUP])
    await run(["ip", "link", "add", "lrtlookslike", "type", "veth", "peer", "name", "alike1"])
    await lab.startAgent()
    const links = await linkNames()
    expect(links).not.toContain("lrtaaaaaaaaaaa")
    expect(links).not.toContain("stray1")
    expect(links).toContain("lrtlookslike")
    expect(lab.log).toContain("1 stray")
    expect(await pings("kept", "10.42.0.1")).toBe(true)
    await run(["ip", "link", "delete", "lrtlookslike"])
    await removed(lab, "kept")
    await expectNothingLeft(lab)
  })
})

describe("SIGHUP", () => {
  const names = async () => (await lab.status()).networks.map(({ name }) => name)
  const reload = () => process.kill(lab.pid, "SIGHUP")
  const seed = readFileSync(SEED, "utf8")
  const LAN = `
lan:
  network_driver:
    driver: none
    default_network:
      name: lan
      subnets:
      - network_address: 10.90.0.0/24
    cni_config:
      10-lan.conf: {name: lan, type: rancher-bridge, bridge: lan0, bridgeSubnet: 10.90.0.0/24, isDefaultGateway: true}
`
  const lan = {
    conf: {
      ...SEED_CONF,
      name: "lan",
      bridge: "lan0",
      bridgeSubnet: "10.90.0.0/24",
    },
  }

  test("takes a new network in; what is attached goes on", async () => {
    const old = await attached(lab, "old")
    const pinger = pinging("old", "10.42.0.1")
    writeFileSync(config, `${seed}${LAN}`)
    reload()
    await waitFor("the new network", async () =>
      (await names()).includes("lan") ? true : undefined,
    )
    const { address } = await attached(lab, "new", lan)
    expect(address).toStartWith("10.90.0.")
    expect(await pinger.stop()).toMatchObject({ lost: 0 })
    expect(old.address).toStartWith("10.42.")
    expect((await lab.endpoints()).map(({ containerId }) => containerId)).toEqual(["old", "new"])
    await removed(lab, "old")
    await removed(lab, "new", lan)
  })

  test("changes what one source may ask of metadata and DNS", async () => {
    const own = join(lab.directory, "agent.yml")
    const before = readFileSync(own, "utf8")
    const limit = async () =>
      (await lab.status()).limits.find(({ name }) => name === "bytesPerSecond")?.limit
    expect(await limit()).toBe(250_000)
    writeFileSync(own, `${before}  limits: {bytesPerSecond: 12345}\n`)
    reload()
    await waitFor("the limit", async () => ((await limit()) === 12_345 ? true : undefined))
    const chain = await run(["nft", "list", "chain", "inet", "lariat", "connections"])
    expect(chain).toContain("over 12345 bytes/second")
    writeFileSync(own, before)
    reload()
    await waitFor("the limit as before", async () =>
      (await limit()) === 250_000 ? true : undefined,
    )
  })

  test("with a file that has errors goes on as before and says so", async () => {
    const before = await names()
    writeFileSync(config, `${seed}\nbroken: [\n`)
    reload()
    await waitFor("the log", () => (lab.log.includes("the files have errors") ? true : undefined))
    expect(await names()).toEqual(before)
    await attached(lab, "still")
    await removed(lab, "still")
    writeFileSync(config, seed)
    reload()
    await waitFor("the network to go", async () =>
      (await names()).includes("lan") ? undefined : true,
    )
  })
})
