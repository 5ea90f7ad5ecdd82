/** Addresses across plugins: ours for Debian's, Debian's for ours, and a chain of both. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { attempt, waitFor } from "../clients/program.ts"
import { addressOf, attached, expectNothingLeft, removed } from "./container.ts"
import { addressesOf, linkNames, routesOf } from "./kernel_view.ts"
import { type Conf, ipIn, Lab, pings, SEED_CONF } from "./lab.ts"
import { debianPlugin, HAS_NAMES, pluginPath } from "./plugin_path.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start()
})
afterAll(() => lab.close())

describe.each([
  ["rancher-cni-ipam", HAS_NAMES],
  ["lariat-cni", true],
])("Debian's bridge with ipam.type %s", (type, able) => {
  const conf: Conf = {
    cniVersion: "1.0.0",
    name: "rancher-cni-network",
    type: "bridge",
    bridge: "deb0",
    isDefaultGateway: true,
    ipam: { type, routes: [{ dst: "192.0.2.0/24", gw: "10.42.0.1" }] },
  }
  const path = pluginPath(type)

  // Debian's bridge leaves its bridge, with our gateway on it.
  afterAll(() => attempt(["ip", "link", "delete", "deb0"]))

  test.if(able)(
    "gives a container an address of the managed network, and takes it back",
    async () => {
      await lab.netns("deb")
      const call = { id: "deb", conf, path }
      const added = await debianPlugin(lab, "bridge", "ADD", call)
      expect(added).toMatchObject({ status: 0 })
      const address = addressOf(added.json)
      expect(await addressesOf("eth0", "deb")).toEqual([`${address}/16`])
      expect(added.json.ips).toMatchObject([{ address: `${address}/16`, gateway: "10.42.0.1" }])
      expect(await pings("deb", "10.42.0.1")).toBe(true)
      const routes = await routesOf("deb")
      expect(routes.find(({ dst }) => dst === "192.0.2.0/24")?.gateway).toBe("10.42.0.1")
      expect(await lab.endpoints()).toMatchObject([
        { containerId: "deb", kind: "ipam", state: "attached", addresses: [`${address}/16`] },
      ])
      const prevResult = added.json
      const checked = await debianPlugin(lab, "bridge", "CHECK", {
        ...call,
        conf: { ...conf, prevResult },
      })
      expect(checked).toMatchObject({ status: 0 })
      expect(await debianPlugin(lab, "bridge", "DEL", call)).toMatchObject({ status: 0 })
      expect(await debianPlugin(lab, "bridge", "DEL", call)).toMatchObject({ status: 0 })
      await expectNothingLeft(lab)
      await lab.deleteNetns("deb")
    },
  )

  test.if(able)("gives a requested address, or refuses with the reason", async () => {
    for (const id of ["asks", "late"]) await lab.netns(id)
    const args = "IgnoreUnknown=1;IP=10.42.8.8"
    const first = await debianPlugin(lab, "bridge", "ADD", { id: "asks", conf, path, args })
    expect(addressOf(first.json)).toBe("10.42.8.8")
    const second = await debianPlugin(lab, "bridge", "ADD", { id: "late", conf, path, args })
    expect(second.status).not.toBe(0)
    expect(second.json.msg).toMatch(/10\.42\.8\.8.*asks/)
    await debianPlugin(lab, "bridge", "DEL", { id: "asks", conf, path })
    await expectNothingLeft(lab)
    for (const id of ["asks", "late"]) await lab.deleteNetns(id)
  })

  test.if(able)("frees the address when the namespace goes without DEL", async () => {
    await lab.netns("gone")
    await debianPlugin(lab, "bridge", "ADD", { id: "gone", conf, path })
    expect(await lab.endpoints()).toHaveLength(1)
    await lab.deleteNetns("gone")
    await waitFor("the address to be freed", async () =>
      (await lab.endpoints()).length === 0 ? true : undefined,
    )
  })
})

describe("rancher-bridge with Debian's host-local", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "host-local-"))
  const conf: Conf = {
    cniVersion: "1.0.0",
    name: "local",
    type: "rancher-bridge",
    bridge: "local0",
    isDefaultGateway: true,
    mtu: 1400,
    ipam: {
      type: "host-local",
      dataDir,
      ranges: [[{ subnet: "10.88.0.0/24" }], [{ subnet: "fd00:88::/64" }]],
    },
  }
  const call = { conf }
  /** The addresses that host-local has written down. */
  const leases = () =>
    readdirSync(dataDir, { recursive: true })
      .map(String)
      .filter((name) => /\/(10|fd00)[.:]/.test(name))

  test("attaches with its addresses, and frees them at DEL", async () => {
    const { result, address } = await attached(lab, "hl", call)
    expect(address).toStartWith("10.88.0.")
    const addresses = await addressesOf("eth0", "hl")
    expect(addresses).toHaveLength(2)
    expect(addresses[1]).toMatch(/^fd00:88::[0-9a-f]+\/64$/)
    expect(result.ips).toMatchObject([
      { address: addresses[0] ?? "", gateway: "10.88.0.1" },
      { address: addresses[1] ?? "", gateway: "fd00:88::1" },
    ])
    expect(leases()).toHaveLength(2)
    expect(await pings("hl", "10.88.0.1")).toBe(true)
    expect(await pings("hl", "fd00:88::1")).toBe(true)
    const prevResult = result
    const checked = await lab.plugin("CHECK", { id: "hl", conf: { ...conf, prevResult } })
    expect(checked).toMatchObject({ status: 0, stdout: "" })
    await lab.del("hl", call)
    expect(leases()).toEqual([])
    await expectNothingLeft(lab)
    await lab.deleteNetns("hl")
  })

  test("gives the addresses back when the agent then refuses", async () => {
    await lab.netns("taken")
    await ipIn("taken", "link", "add", "eth0", "type", "bridge")
    const answer = await lab.plugin("ADD", { ...call, id: "taken" })
    expect(answer.json.code).toBe(102)
    expect(leases()).toEqual([])
    await expectNothingLeft(lab)
    await lab.deleteNetns("taken")
  })

  test("gives the addresses back when the agent is away", async () => {
    await lab.netns("away")
    const env = { LARIAT_SOCKET: join(lab.directory, "nobody.sock") }
    const answer = await lab.plugin("ADD", { ...call, id: "away", env })
    expect(answer.json.code).toBe(11)
    expect(leases()).toEqual([])
    await lab.deleteNetns("away")
  })

  test("keeps the addresses while the agent that would take the port down is away", async () => {
    await attached(lab, "stays", call)
    const env = { LARIAT_SOCKET: join(lab.directory, "nobody.sock") }
    const refused = await lab.plugin("DEL", { ...call, id: "stays", env })
    expect(refused.json.code).toBe(11)
    expect(leases()).toHaveLength(2)
    await removed(lab, "stays", call)
    expect(leases()).toEqual([])
    await expectNothingLeft(lab)
  })

  test.each<[string, Conf, RegExp]>([
    ["fails", { type: "host-local", dataDir }, /host-local/],
    ["is not there", { type: "no-such-ipam" }, /no-such-ipam/],
    ["has a path for a name", { type: "../../bin/true" }, /\.\.\/\.\.\/bin\/true/],
  ])("tells of a delegate that %s", async (_, ipam, words) => {
    await lab.netns("broken")
    const answer = await lab.plugin("ADD", { conf: { ...conf, ipam }, id: "broken" })
    expect(answer.status).not.toBe(0)
    expect(answer.json.code).toBeGreaterThan(0)
    expect(answer.json.msg).toMatch(words)
    expect(await linkNames("broken")).toEqual(["lo"])
    await lab.deleteNetns("broken")
    await expectNothingLeft(lab)
  })
})

describe("rancher-bridge behind Debian's bridge in one chain", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "chain-"))
  const chain = { cniVersion: "1.0.0", name: "rancher-cni-network" }
  const first: Conf = {
    ...chain,
    type: "bridge",
    bridge: "chain0",
    isDefaultGateway: true,
    ipam: { type: "host-local", dataDir, ranges: [[{ subnet: "172.30.0.0/24" }]] },
    dns: { nameservers: ["172.30.0.53"] },
  }
  const second: Conf = { ...SEED_CONF, ...chain, bridge: "chain0" }

  test("puts its address beside the first one's and amends the result", async () => {
    await lab.netns("chain")
    const before = await debianPlugin(lab, "bridge", "ADD", { id: "chain", conf: first })
    expect(before).toMatchObject({ status: 0 })
    const conf = { ...second, prevResult: before.json }
    const after = await lab.add("chain", { conf })
    const own = after.ips?.[1]?.address ?? ""
    expect(own).toMatch(/^10\.42\.\d+\.\d+\/16$/)
    expect(await addressesOf("eth0", "chain")).toEqual([before.json.ips?.[0]?.address ?? "", own])
    expect(after.ips?.[0]).toEqual(before.json.ips?.[0])
    const names = (json: typeof after) => (json.interfaces ?? []).map(({ name }) => name)
    expect(names(after)).toEqual(names(before.json))
    expect(after.routes).toEqual(expect.arrayContaining([{ dst: "0.0.0.0/0", gw: "172.30.0.1" }]))
    // The seed's server and search first: only they know the names of its network.
    expect(after.dns).toMatchObject({
      nameservers: ["169.254.169.250", "172.30.0.53"],
      search: ["rancher.internal"],
    })
    const defaults = (await routesOf("chain")).filter(({ dst }) => dst === "default")
    expect(defaults).toMatchObject([{ gateway: "172.30.0.1" }])
    expect(await pings("chain", "10.42.0.1")).toBe(true)

    const checked = await lab.plugin("CHECK", {
      id: "chain",
      conf: { ...second, prevResult: after },
    })
    expect(checked).toMatchObject({ status: 0 })
    await lab.del("chain", { conf: { ...second, prevResult: after } })
    expect(await addressesOf("eth0", "chain")).toEqual([before.json.ips?.[0]?.address ?? ""])
    await expectNothingLeft(lab)
    await debianPlugin(lab, "bridge", "DEL", { id: "chain", conf: first })
    expect(
      readdirSync(join(dataDir, "rancher-cni-network")).filter((n) => n.startsWith("172")),
    ).toEqual([])
    await lab.deleteNetns("chain")
  })
})
