import { describe, expect, test } from "bun:test"
import { cnitoolPath, knowsGc, setUpCnitool, withNamespace } from "./cnitool.ts"
import {
  expectNothingLeft,
  NETWORK_DIRECTORY,
  networkOf,
  PLUGIN_DIRECTORY,
  prepareAgent,
  RANCHER_BRIDGE,
} from "./contract.ts"
import { run } from "./program.ts"
import { writeNetwork } from "./runtime.ts"

const NETWORK = "rancher-cni-network"
const tool = setUpCnitool(PLUGIN_DIRECTORY, NETWORK_DIRECTORY)
const withGc = await knowsGc()

interface AddResult {
  readonly cniVersion: string
  readonly interfaces: readonly { name: string; sandbox?: string; mac: string; mtu?: number }[]
  readonly ips: readonly { address: string; gateway: string; interface: number }[]
  readonly routes: readonly { dst: string; gw?: string }[]
}

describe(`${cnitoolPath()}`, () => {
  const agent = prepareAgent()

  /** Runs a verb that must succeed. */
  async function call(verb: string, namespace: string): Promise<string> {
    const result = await tool.call(verb, NETWORK, namespace)
    expect({ verb, ...result }).toMatchObject({ status: 0 })
    return result.stdout
  }

  const versions = ["0.3.1", "0.4.0", "1.0.0", ...(withGc ? ["1.1.0"] : [])]
  test.each(versions)("adds, checks and deletes under version %s", async (cniVersion) => {
    writeNetwork(NETWORK_DIRECTORY, { ...networkOf(RANCHER_BRIDGE), cniVersion })
    await withNamespace("one", async () => {
      const result = JSON.parse(await call("add", "one")) as AddResult
      expect(result.cniVersion).toBe(cniVersion)
      const [ip] = result.ips
      expect(ip?.address).toMatch(/^10\.42\.\d+\.\d+\/16$/)
      expect(ip?.gateway).toBe("10.42.0.1")
      const inside = result.interfaces[ip?.interface ?? -1]
      expect(inside).toMatchObject({ name: "eth0", sandbox: "/run/netns/one" })
      expect(result.routes).toContainEqual(expect.objectContaining({ dst: "0.0.0.0/0" }))

      const shown = await run(["ip", "-netns", "one", "-json", "addr", "show", "dev", "eth0"])
      const [link] = JSON.parse(shown) as { mtu: number; address: string; addr_info: unknown[] }[]
      expect(link).toMatchObject({ mtu: 1402, address: inside?.mac ?? "" })
      const local = ip?.address.split("/")[0] ?? ""
      expect(link?.addr_info).toContainEqual(expect.objectContaining({ local, prefixlen: 16 }))
      await run(["ip", "netns", "exec", "one", "ping", "-c", "1", "-W", "5", "10.42.0.1"])

      if (cniVersion !== "0.3.1") await call("check", "one")
      await call("del", "one")
      await call("del", "one")
    })
    await expectNothingLeft(agent())
  })

  test("CHECK names what is no longer as ADD left it", async () => {
    writeNetwork(NETWORK_DIRECTORY, { ...networkOf(RANCHER_BRIDGE), cniVersion: "1.0.0" })
    await withNamespace("one", async () => {
      await call("add", "one")
      await run(["ip", "-netns", "one", "route", "delete", "default"])
      const checked = await tool.call("check", NETWORK, "one")
      expect(checked.status).not.toBe(0)
      expect(`${checked.stdout}${checked.stderr}`).toContain("0.0.0.0/0")
      await call("del", "one")
    })
    await expectNothingLeft(agent())
  })

  test("a second ADD into the same namespace is refused and changes nothing", async () => {
    writeNetwork(NETWORK_DIRECTORY, networkOf(RANCHER_BRIDGE))
    await withNamespace("one", async () => {
      await call("add", "one")
      const before = await agent().endpoints()
      expect((await tool.call("add", NETWORK, "one")).status).not.toBe(0)
      expect(await agent().endpoints()).toEqual(before)
      await call("del", "one")
    })
    await expectNothingLeft(agent())
  })

  test("DEL succeeds after the namespace is gone", async () => {
    writeNetwork(NETWORK_DIRECTORY, networkOf(RANCHER_BRIDGE))
    await withNamespace("gone", async () => {
      await call("add", "gone")
    })
    await call("del", "gone")
    await expectNothingLeft(agent())
  })

  test.skipIf(!withGc)("STATUS says that addresses can be given", async () => {
    writeNetwork(NETWORK_DIRECTORY, { ...networkOf(RANCHER_BRIDGE), cniVersion: "1.1.0" })
    await withNamespace("one", async () => {
      await call("status", "one")
    })
  })

  test.skipIf(!withGc)("GC as cnitool sends it leaves nothing of libcni's cache", async () => {
    writeNetwork(NETWORK_DIRECTORY, { ...networkOf(RANCHER_BRIDGE), cniVersion: "1.1.0" })
    await withNamespace("one", async () => {
      await call("add", "one")
      expect(await agent().endpoints()).toHaveLength(1)
      // libcni deletes every attachment it remembers, then calls GC without the list of valid
      // ones, which a plugin that serves other runtimes too must not take for an empty list.
      await tool.call("gc", NETWORK, "one")
    })
    await expectNothingLeft(agent())
  })
})
