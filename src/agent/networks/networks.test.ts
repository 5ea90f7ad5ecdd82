import { afterEach, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { loadConfiguration } from "../../config/load.ts"
import type { Netconf } from "../../config/netconf/netconf.ts"
import { parseNetconf } from "../../config/netconf/parse.ts"
import { StateDatabase } from "../state/state_database.ts"
import { Networks } from "./networks.ts"

const journals: StateDatabase[] = []
afterEach(() => {
  for (const stateDatabase of journals.splice(0)) stateDatabase.close()
})

function setUp(): { networks: Networks; stateDatabase: StateDatabase } {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  journals.push(stateDatabase)
  return { stateDatabase, networks: again(stateDatabase) }
}

function again(stateDatabase: StateDatabase): Networks {
  return new Networks({ stateDatabase, clock: () => 0, restMs: 1000 })
}

function seed() {
  const path = new URL("../../../test/fixtures/rancher-compose.yml", import.meta.url).pathname
  return loadConfiguration([{ path, text: readFileSync(path, "utf8") }], { env: {} }).networks
}

function netconf(keys: object): Netconf {
  const { conf, problems } = parseNetconf({ cniVersion: "1.0.0", type: "rancher-bridge", ...keys })
  if (conf === undefined) throw new Error(JSON.stringify(problems))
  return conf
}

test("a network of the YAML is found by its own name and by its CNI configuration's", () => {
  const { networks } = setUp()
  expect(networks.configure(seed()).remarks).toEqual([])
  for (const name of ["ipsec", "rancher-cni-network"]) {
    expect(networks.forNetconf(netconf({ name })).name).toBe("ipsec")
  }
})

test("a configuration without subnets falls back to the YAML's network, else is refused", () => {
  const { networks } = setUp()
  expect(() => networks.forNetconf(netconf({ name: "other" }))).toThrow("names a subnet")
  networks.configure(seed())
  expect(networks.forNetconf(netconf({ name: "other" })).name).toBe("ipsec")
})

test("a configuration's own subnet makes a network that a restart remembers", () => {
  const { networks, stateDatabase } = setUp()
  networks.configure(seed())
  const conf = netconf({ name: "lan", bridgeSubnet: "10.9.0.0/24", bridgeIP: "10.9.0.9" })
  const network = networks.forNetconf(conf)
  expect(network.subnets).toEqual([
    { cidr: "10.9.0.0/24", gateway: "10.9.0.9", start: "10.9.0.2", end: "10.9.0.250" },
  ])
  const restarted = again(stateDatabase)
  restarted.configure(seed())
  expect(restarted.get("lan")?.subnets).toEqual(network.subnets)
})

test("host-local's ranges are pools too", () => {
  const { networks } = setUp()
  const ipam = {
    type: "rancher-cni-ipam",
    subnet: "10.8.0.0/24",
    rangeStart: "10.8.0.10",
    rangeEnd: "10.8.0.20",
  }
  expect(networks.forNetconf(netconf({ name: "n", ipam })).subnets[0]).toMatchObject({
    start: "10.8.0.10",
    end: "10.8.0.20",
  })
})

test("overlapping subnets are refused, naming both", () => {
  const { networks } = setUp()
  networks.configure(seed())
  const conf = netconf({ name: "lan", bridgeSubnet: "10.42.9.0/24" })
  expect(() => networks.forNetconf(conf)).toThrow(
    "Cannot use 10.42.9.0/24 for the network lan: it overlaps 10.42.0.0/16 of the network ipsec",
  )
})

test("the YAML's subnet and a configuration's must not contradict", () => {
  const { networks } = setUp()
  networks.configure(seed())
  const conf = netconf({ name: "rancher-cni-network", bridgeSubnet: "10.43.0.0/16" })
  expect(() => networks.forNetconf(conf)).toThrow(
    "says 10.43.0.0/16, the agent's says 10.42.0.0/16",
  )
})

test("subnets change only while nothing is attached", () => {
  const { networks } = setUp()
  const first = networks.forNetconf(netconf({ name: "lan", bridgeSubnet: "10.9.0.0/24" }))
  const moved = netconf({ name: "lan", bridgeSubnet: "10.10.0.0/24" })
  const [taken] = first.allocator.allocate()
  expect(() => networks.forNetconf(moved)).toThrow("are in use")
  first.allocator.release(taken?.address ?? "", { used: false })
  expect(networks.forNetconf(moved).subnets[0]?.cidr).toBe("10.10.0.0/24")
})

test("leases in the state database are taken in the allocator of a restart", () => {
  const { stateDatabase, networks } = setUp()
  networks.configure(seed())
  const endpoint = {
    network: "rancher-cni-network",
    pool: "ipsec",
    containerId: "c",
    ifname: "eth0",
    kind: "ipam",
    netns: undefined,
    names: { aliases: [], labels: {} },
    request: {},
  } as const
  stateDatabase.begin(endpoint, [{ address: "10.42.0.7", prefix: 16, gateway: undefined }])
  const restarted = again(stateDatabase)
  restarted.configure(seed())
  const { allocator } = restarted.forNetconf(netconf({ name: "ipsec" }))
  expect(() => allocator.allocate({ requested: ["10.42.0.7"] })).toThrow("has it")
})

test("a reload with the same subnets keeps the allocator", () => {
  const { networks } = setUp()
  networks.configure(seed())
  const before = networks.get("ipsec")?.allocator
  networks.configure(seed())
  expect(networks.get("ipsec")?.allocator).toBe(before as never)
})

test("two subnets of one configuration that overlap are refused", () => {
  const { networks } = setUp()
  const conf = netconf({ name: "lan", bridgeSubnet: ["10.9.0.0/16", "10.9.1.0/24"] })
  expect(() => networks.forNetconf(conf)).toThrow("10.9.1.0/24")
  expect(networks.all()).toEqual([])
})

test("a network that only a netconf named gives its subnet away when nobody uses it", () => {
  const { networks, stateDatabase } = setUp()
  const slip = networks.forNetconf(netconf({ name: "lam", bridgeSubnet: "10.9.0.0/16" }))
  const [given] = slip.allocator.allocate()
  const right = netconf({ name: "lan", bridgeSubnet: "10.9.0.0/24" })
  expect(() => networks.forNetconf(right)).toThrow("overlaps 10.9.0.0/16 of the network lam")
  slip.allocator.release(given?.address ?? "")
  expect(networks.forNetconf(right).name).toBe("lan")
  expect(networks.all().map(({ name }) => name)).toEqual(["lan"])
  expect([...stateDatabase.networks()].map(({ name }) => name)).toEqual(["lan"])
})

test("a remembered network that nobody uses gives way to the YAML", () => {
  const { networks, stateDatabase } = setUp()
  networks.forNetconf(netconf({ name: "lan", bridgeSubnet: "10.42.9.0/24" }))
  const restarted = again(stateDatabase)
  expect(restarted.configure(seed()).remarks).toEqual([])
  expect(restarted.all().map(({ name }) => name)).toEqual(["ipsec"])
})

/** A container with that address of a network. */
function take(stateDatabase: StateDatabase, network: string, containerId: string, address: string) {
  const names = { aliases: [], labels: {} }
  return stateDatabase.begin(
    { network, containerId, ifname: "eth0", kind: "ipam", netns: undefined, names, request: {} },
    [{ address, prefix: 16, gateway: undefined }],
  )
}

test("a network that is called otherwise gives no address twice, under a reload or after a restart", () => {
  const { networks, stateDatabase } = setUp()
  networks.configure(seed())
  const [given] = networks.get("ipsec")?.allocator.allocate() ?? []
  const id = take(stateDatabase, "ipsec", "c", given?.address ?? "")
  const allocator = networks.get("ipsec")?.allocator
  const called = (name: string) => seed().map((network) => ({ ...network, name }))
  expect([...networks.configure(called("overlay")).renamed]).toEqual([["ipsec", "overlay"]])
  expect(networks.get("overlay")?.allocator).toBe(allocator as never)
  expect(stateDatabase.endpoint(id)?.pool).toBe("overlay")
  const restarted = again(stateDatabase)
  expect([...restarted.configure(called("third")).renamed]).toEqual([["overlay", "third"]])
  const asked = { requested: [given?.address ?? ""] }
  expect(() => restarted.get("third")?.allocator.allocate(asked)).toThrow("has it")
  expect([...restarted.configure(called("third")).renamed]).toEqual([])
})

test("who keeps something by a network's name hears of another one before it is asked for it", () => {
  const heard: string[] = []
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const networks = new Networks({
    ...{ stateDatabase, clock: () => 0, restMs: 0 },
    leasedPools: ({ name }) => void heard.push(name),
    onRenamed: (from, to) => void heard.push(`${from} is ${to}`),
  })
  networks.configure(seed())
  take(stateDatabase, "ipsec", "c", "10.42.0.7")
  networks.configure(seed().map((network) => ({ ...network, name: "overlay" })))
  expect(heard).toEqual(["ipsec", "ipsec is overlay", "overlay"])
})

test("a netconf's network that the YAML has under another name now gives its addresses to it", () => {
  const { networks, stateDatabase } = setUp()
  networks.forNetconf(netconf({ name: "lan", bridgeSubnet: "10.42.9.0/24" }))
  take(stateDatabase, "lan", "c", "10.42.9.7")
  const restarted = again(stateDatabase)
  expect(restarted.configure(seed()).remarks).toEqual([])
  expect(restarted.all().map(({ name }) => name)).toEqual(["ipsec"])
  expect(() => restarted.get("ipsec")?.allocator.allocate({ requested: ["10.42.9.7"] })).toThrow(
    "has it",
  )
})

test("a network of Windows hosts is refused by each of its names, and is none of this host's", () => {
  const { networks } = setUp()
  const why = "is for Windows hosts: its kind is nat"
  const cniNames = new Set(["nat", "nat-network"])
  networks.configure(seed(), [{ name: "nat", cniNames, why }])
  for (const conf of [{ name: "nat" }, { name: "nat-network", bridgeSubnet: "10.9.0.0/24" }]) {
    const attempt = () => networks.forNetconf(netconf(conf))
    expect(attempt).toThrow(
      `Cannot attach to the network ${conf.name}: it ${why}, and this agent runs on Linux`,
    )
    expect(attempt).toThrow(expect.objectContaining({ code: "network-foreign" }))
  }
  expect(networks.all().map(({ name }) => name)).toEqual(["ipsec"])
  networks.configure(seed())
  expect(networks.forNetconf(netconf({ name: "nat" })).name).toBe("ipsec")
})
