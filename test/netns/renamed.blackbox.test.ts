/** What the configuration calls otherwise: containers go on, and what it no longer names goes. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { run, waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { addressesOf, linkNames, mustLink } from "./kernel_view.ts"
import { Lab, pings, SEED, SEED_CONF } from "./lab.ts"
import { yamlFile } from "./networks.ts"
import { pinging } from "./pinging.ts"

const seed = readFileSync(SEED, "utf8")
const config = yamlFile(seed)

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({
    configs: [config],
    settings: { createBridge: "always", quarantine: "1s" },
  })
})
afterAll(() => lab.close())

const repaired = async (words: RegExp) =>
  (await lab.status()).repairs.some(({ what }) => words.test(what)) || undefined

const byReload = async () => void process.kill(lab.pid, "SIGHUP")
async function byRestart(): Promise<void> {
  await lab.stopAgent()
  await lab.startAgent()
}

describe.each<[string, () => Promise<void>]>([
  ["reload", byReload],
  ["restart", byRestart],
])("after a %s", (how, again) => {
  const bridge = `${how}br`
  beforeEach(() => {
    writeFileSync(config, seed)
    return byRestart()
  })

  test("a container goes on under a bridge of another name, and the old one goes", async () => {
    const one = await attached(lab, "one")
    const port = one.result.interfaces?.[1]?.name ?? ""
    expect(await pings("one", "10.42.0.1")).toBe(true)
    const { address: mac } = await mustLink("docker0")
    const flow = pinging("one", "10.42.0.1")
    writeFileSync(config, seed.replaceAll("docker0", bridge))
    await again()
    await waitFor("the old bridge to go", async () =>
      (await linkNames()).includes("docker0") ? undefined : true,
    )
    const { sent, lost } = await flow.stop()
    expect(sent).toBeGreaterThan(lost)
    expect(await mustLink(port)).toMatchObject({ master: bridge })
    expect(await mustLink(bridge)).toMatchObject({ address: mac })
    expect(await addressesOf(bridge)).toEqual(["10.42.0.1/16"])
    expect(await pings("one", "10.42.0.1")).toBe(true)
    const two = await attached(lab, "two", { conf: { ...SEED_CONF, bridge } })
    expect(await pings("one", two.address)).toBe(true)
    for (const id of ["one", "two"]) await removed(lab, id)
    await expectNothingLeft(lab)
    expect(await repaired(new RegExp(`from docker0 to ${bridge}`))).toBe(true)
  })

  test("a bridge that was made before the state directory was lost goes as well", async () => {
    await attached(lab, "one")
    await lab.stopAgent()
    rmSync(lab.stateDir, { recursive: true })
    await lab.startAgent()
    writeFileSync(config, seed.replaceAll("docker0", bridge))
    await again()
    await waitFor("the old bridge to go", async () =>
      (await linkNames()).includes("docker0") ? undefined : true,
    )
    expect(await pings("one", "10.42.0.1")).toBe(true)
    await removed(lab, "one")
    await expectNothingLeft(lab)
  })

  test("somebody else's bridge loses our address alone", async () => {
    await run(["ip", "link", "add", `${how}foreign`, "up", "type", "bridge"])
    await run(["ip", "address", "add", "192.0.2.1/24", "dev", `${how}foreign`])
    writeFileSync(config, seed.replaceAll("docker0", `${how}foreign`))
    await byRestart()
    const conf = { ...SEED_CONF, bridge: `${how}foreign` }
    await attached(lab, "one", { conf })
    await removed(lab, "one", { conf })
    expect(await addressesOf(`${how}foreign`)).toEqual(["192.0.2.1/24", "10.42.0.1/16"])
    writeFileSync(config, seed)
    await again()
    await waitFor("our address to go", async () =>
      (await addressesOf(`${how}foreign`)).length === 1 ? true : undefined,
    )
    expect(await addressesOf(`${how}foreign`)).toEqual(["192.0.2.1/24"])
    await run(["ip", "link", "delete", `${how}foreign`])
  })

  test("a network of another name gives no address twice", async () => {
    const one = await attached(lab, "one")
    writeFileSync(config, seed.replace("name: ipsec\n", "name: overlay\n"))
    await again()
    await waitFor("the new name", async () =>
      (await lab.status()).networks.some(({ name }) => name === "overlay") ? true : undefined,
    )
    await lab.netns("two")
    const taken = await lab.plugin("ADD", { id: "two", args: `IP=${one.address}` })
    await lab.deleteNetns("two")
    expect(taken.json.msg).toContain("container one (eth0) has it")
    expect(await pings("one", "10.42.0.1")).toBe(true)
    await removed(lab, "one")
    await expectNothingLeft(lab)
  })
})
