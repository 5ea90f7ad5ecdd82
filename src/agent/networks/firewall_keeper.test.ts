import { beforeEach, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { loadConfiguration } from "../../config/load.ts"
import { LariatError } from "../../errors.ts"
import type { FirewallState } from "../../firewall/state.ts"
import { Health } from "../health.ts"
import { row } from "./endpoint_index.test.ts"
import { addressOnlySpec, specJson } from "./endpoint_spec.ts"
import { FirewallKeeper, type FirewallTable } from "./firewall_keeper.ts"

let states: FirewallState[] = []
let single: string[] = []
const table: FirewallTable = {
  ensure: (state) => {
    states.push(state)
    return true
  },
  follow: () => {},
  addMasquerade: (...addresses) => {
    single.push(...addresses.map((address) => `+${address}`))
  },
  removeMasquerade: (...addresses) => {
    single.push(...addresses.map((address) => `-${address}`))
  },
  guard: (ports, { gone } = {}) => {
    for (const { index, addresses } of ports) single.push(`+${index} ${addresses}`)
    if (gone !== undefined) single.push(`-${gone}`)
  },
  canGuard: true,
  forged: () => ({ "MAC address": 4 }),
  differences: () => [],
  lacking: () => [],
  dropped: () => ({
    connections: 3,
    connectionsInAll: 0,
    connectionsPerSecond: 0,
    bytesPerSecond: 0,
    queriesPerSecond: 7,
    tunnelsOfContainers: 2,
    pastTheBridge: 0,
    foreignTunnels: 5,
    foreignSources: 0,
  }),
  close: () => {},
}
beforeEach(() => {
  states = []
  single = []
})

function seed() {
  const path = new URL("../../../test/fixtures/rancher-compose.yml", import.meta.url).pathname
  return loadConfiguration([{ path, text: readFileSync(path, "utf8") }], { env: {} }).networks
}

test("what drivers and bridges say of tunnels is followed once the table is there", () => {
  let followed = 0
  const follow = () => {
    followed++
  }
  const keeper = new FirewallKeeper(new Health(), { open: () => ({ ...table, follow }) })
  const gate = keeper.gate("n")
  keeper.encapsulate("n", { subnets: ["10.42.0.0/16"], vxlan: { port: 4789, vni: 1 } })
  gate.desired("b", { hosts: ["192.0.2.2"], sources: [] })
  gate.settle()
  expect(followed).toBe(0)
  keeper.sync([])
  const hosts = () => states.at(-1)?.tunnels?.contents().get("hosts4")
  expect(hosts()).toHaveLength(1)
  gate.settle()
  for (let time = 0; time < 2; time++) keeper.bridges(["docker0"])
  keeper.settled()
  expect(followed).toBe(3)
  gate.remove()
  expect(hosts()).toEqual([])
  expect(keeper.guards()).toEqual([
    { name: "tunnelsOfContainers", dropped: 2 },
    { name: "pastTheBridge", dropped: 0 },
    { name: "foreignTunnels", dropped: 5 },
    { name: "foreignSources", dropped: 0 },
  ])
})

test("hostNat of the YAML and of netconfs stand in one state", () => {
  const keeper = new FirewallKeeper(new Health(), { open: () => table })
  keeper.configure(seed())
  keeper.sync([])
  expect(states.at(-1)?.hostNat).toEqual([{ subnet: "10.42.0.0/16", bridge: "docker0" }])
  keeper.addNetwork([], [{ subnet: "10.9.0.0/24", bridge: "cni0" }])
  expect(states.at(-1)?.hostNat).toHaveLength(2)
})

test("hostNat that is known does not touch the kernel", () => {
  const keeper = new FirewallKeeper(new Health(), { open: () => table })
  keeper.configure(seed())
  keeper.sync([])
  keeper.addNetwork([], [{ subnet: "10.42.0.0/16", bridge: "docker0" }])
  expect(states).toHaveLength(1)
})

test("a network that comes with an attach is not masqueraded towards from then on", () => {
  const keeper = new FirewallKeeper(new Health(), { open: () => table })
  keeper.sync([])
  keeper.addNetwork([{ cidr: "10.9.0.0/24" }], [])
  expect(states.at(-1)?.overlay).toEqual(["10.9.0.0/24"])
  keeper.addNetwork([{ cidr: "10.9.0.0/24" }], [])
  expect(states).toHaveLength(2)
})

test("what somebody changed in the table is told as mended, what was set up first is not", () => {
  const health = new Health()
  let drift = ["nothing was set up yet"]
  const keeper = new FirewallKeeper(health, {
    open: () => ({ ...table, differences: () => drift }),
  })
  keeper.sync([])
  expect(health.repairs()).toEqual([])
  drift = ["there is no table inet lariat"]
  keeper.sync([])
  expect(health.repairs()).toMatchObject([
    { what: "the firewall's nft table was put back: there is no table inet lariat" },
  ])
})

test("a masqueraded address is one element and is missed by a check when it is gone", () => {
  const keeper = new FirewallKeeper(new Health(), { open: () => table })
  keeper.sync([])
  keeper.addMasquerade(["10.9.0.2/24"])
  expect(keeper.differences(["10.9.0.2/24"])).toEqual([])
  keeper.removeMasquerade(["10.9.0.2/24"])
  expect(single).toEqual(["+10.9.0.2/24", "-10.9.0.2/24"])
  expect(keeper.differences(["10.9.0.2/24"])).toEqual(["10.9.0.2/24 is not masqueraded"])
})

test("a port that is not guarded costs no request; one that is comes and goes", () => {
  const calls: string[] = []
  const guard: FirewallTable["guard"] = (ports, { gone } = {}) => {
    calls.push(`${ports.map(({ index }) => index)} gone ${gone}`)
  }
  const keeper = new FirewallKeeper(new Health(), { open: () => ({ ...table, guard }) })
  keeper.sync([])
  keeper.guard(row("free"))
  keeper.unguard(7)
  expect(calls).toEqual([])
  const request = specJson({ ...addressOnlySpec([]), antiSpoofing: true })
  keeper.guard(row("bound", { request }))
  keeper.unguard(7)
  expect(calls).toEqual(["7 gone undefined", " gone 7"])
})

test("without nf_tables hostNat is a problem and ipMasq an error", () => {
  const health = new Health()
  const keeper = new FirewallKeeper(health, {
    open: () => {
      throw new LariatError("no nf_tables", { code: "kernel-unsupported", hint: "load it" })
    },
  })
  keeper.sync([])
  expect(health.problems()[0]?.what).toContain("no nf_tables")
  expect(() => keeper.addMasquerade(["10.9.0.2/24"])).toThrow("Cannot masquerade")
})

const limits = {
  services: [],
  values: {
    connections: 256,
    connectionsInAll: 0,
    connectionsPerSecond: 0,
    bytesPerSecond: 900,
    queriesPerSecond: 50,
  },
}

test("limits of services stand in the state, and what they dropped is told", () => {
  const keeper = new FirewallKeeper(new Health(), { open: () => table })
  keeper.configure([], limits)
  expect(keeper.limits()).toEqual([])
  keeper.sync([])
  expect(states.at(-1)?.limits).toEqual(limits)
  expect(keeper.limits()).toEqual([
    { name: "connections", limit: 256, dropped: 3 },
    { name: "connectionsInAll", limit: 0, dropped: 0 },
    { name: "connectionsPerSecond", limit: 0, dropped: 0 },
    { name: "bytesPerSecond", limit: 900, dropped: 0 },
    { name: "queriesPerSecond", limit: 50, dropped: 7 },
  ])
})

test("limits that are configured anew stand in the next state", () => {
  const keeper = new FirewallKeeper(new Health(), { open: () => table })
  keeper.configure([], limits)
  keeper.sync([])
  const values = { ...limits.values, connections: 8 }
  keeper.configure([], { ...limits, values })
  keeper.sync([])
  expect(states.at(-1)?.limits?.values.connections).toBe(8)
  expect(keeper.limits()[0]?.limit).toBe(8)
})

test("a limit that the kernel cannot hold is a warning", () => {
  const health = new Health()
  const open = (): FirewallTable => ({ ...table, lacking: () => ["connections"] })
  const keeper = new FirewallKeeper(health, { open })
  keeper.configure([], limits)
  keeper.sync([])
  expect(keeper.limits()[0]).toMatchObject({ name: "connections", limit: 0 })
  expect(health.problems()).toMatchObject([
    { severity: "warning", what: expect.stringContaining("DNS: connections") },
  ])
})

test("what keeps other firewalls from dropping ours is told, and so is what keeps it from that", () => {
  const health = new Health()
  const asked: string[][] = []
  let outcome: () => string[] = () => ["containers may pass chain FORWARD"]
  const pass = {
    ensure: (subnets: readonly string[]) => {
      asked.push([...subnets])
      return outcome()
    },
    close: () => {},
  }
  const keeper = new FirewallKeeper(health, { open: () => table, openPass: () => pass })
  keeper.sync([])
  expect(health.repairs().map(({ what }) => what)).toEqual(["containers may pass chain FORWARD"])
  keeper.addNetwork([{ cidr: "10.9.0.0/24" }], [])
  expect(asked).toEqual([[], ["10.9.0.0/24"]])
  outcome = () => {
    throw new Error("not permitted")
  }
  keeper.sync([])
  expect(health.problems()).toMatchObject([{ what: expect.stringContaining("not permitted") }])
  outcome = () => []
  keeper.sync([])
  expect(health.problems()).toEqual([])
})

test("legacy tables are looked at without nf_tables too, with each network that comes", () => {
  const asked: string[][] = []
  const legacy = { sync: async (subnets: readonly string[]) => void asked.push([...subnets]) }
  const keeper = new FirewallKeeper(new Health(), {
    open: () => {
      throw new LariatError("no nf_tables", { code: "kernel-unsupported" })
    },
    legacy,
  })
  keeper.sync([])
  keeper.addNetwork([{ cidr: "10.9.0.0/24" }], [])
  expect(asked).toEqual([[], ["10.9.0.0/24"]])
})
