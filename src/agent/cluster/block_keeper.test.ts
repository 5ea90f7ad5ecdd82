import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { BlockLeases } from "../../cluster/block_lease.ts"
import { HostIdentity } from "../../cluster/identity.ts"
import { Keyspace } from "../../cluster/keyspace.ts"
import type { Network } from "../../config/network.ts"
import { Allocator } from "../../ipam/allocator.ts"
import { Health } from "../health.ts"
import { Journal } from "../journal.ts"
import { BlockKeeper } from "./block_keeper.ts"
import { ClusterMemory } from "./memory.ts"
import { Sealer } from "./sealer.ts"

const SUBNET = {
  cidr: "10.42.0.0/16",
  gateway: "10.42.0.1",
  start: "10.42.0.2",
  end: "10.42.255.250",
}
const NETWORK = {
  name: "n",
  subnets: [SUBNET],
  carriage: { blockSize: undefined },
} as unknown as Network

/** One host's keeper over a store that others may share. */
function keeper(
  store: MemoryStore,
  hostId: string,
  journal = Journal.open(":memory:", { bootId: "b" }),
) {
  const keys = new Keyspace("edge")
  const memory = new ClusterMemory(journal, "edge")
  const identity = HostIdentity.create((length) => Uint8Array.from(randomBytes(length)))
  const sealer = new Sealer(memory, hostId, { identity, psk: undefined })
  const health = new Health()
  const changed: string[] = []
  const blocks: BlockKeeper = new BlockKeeper({
    memory,
    journal,
    health,
    leases: () => leases,
    allocatorOf: () => allocator,
    onChange: (network) => changed.push(network),
    nameOf: (id) => `name of ${id}`,
    patienceMs: 0,
  })
  const leases = new BlockLeases({
    store,
    keys,
    hostId,
    seal: (key, state, reason) => sealer.seal("block", key, { state, ...reason }),
    isMine: (network, block) => blocks.isHeld(network, block),
    holderOf: () => undefined,
    mayTakeOver: () => false,
  })
  const pools = blocks.pools(NETWORK)
  const allocator = new Allocator({
    network: "n",
    subnets: pools,
    families: [4],
    restMs: 0,
    clock: () => 0,
  })
  return { blocks, allocator, health, changed, journal }
}

test("as many hosts have room for IPv6 as for IPv4", () => {
  const { blocks } = keeper(new MemoryStore(), "a")
  const subnet6 = { cidr: "fd00::/64", gateway: "fd00::1", start: "fd00::2", end: "fd00::ff:ffff" }
  const carriage = { ...NETWORK.carriage, blockSize: 26 }
  blocks.pools({ ...NETWORK, name: "both", subnets: [SUBNET, subnet6], carriage })
  // A /16 in /26 is 1,024 blocks; so is what the range of 2^24 addresses is cut into.
  expect(blocks.isBlock("both", "10.42.255.128/26")).toBe(true)
  expect(blocks.isBlock("both", "fd00::ff:c000/114")).toBe(true)
})

test("the first container brings a block along, and this host an address of its own in it", async () => {
  const { blocks, allocator, changed } = keeper(new MemoryStore(), "a")
  expect(blocks.held("n")).toEqual([])
  await blocks.roomFor("n", [])
  const [block = ""] = blocks.held("n")
  expect(block).toEndWith("/24")
  expect(changed).toEqual(["n"])
  const [own = ""] = blocks.overlay("n")
  expect(own).toEndWith(".254")
  expect(allocator.stateOf(own)).toBe("reserved")
  await blocks.roomFor("n", [])
  expect(blocks.held("n")).toEqual([block])
})

test("what was held is held after a restart, without the store", async () => {
  const store = new MemoryStore()
  const first = keeper(store, "a")
  await first.blocks.roomFor("n", [])
  const own = first.blocks.overlay("n")
  store.away = true
  const again = keeper(store, "a", first.journal)
  expect(again.blocks.held("n")).toEqual(first.blocks.held("n"))
  expect(again.blocks.overlay("n")).toEqual(own)
  await again.blocks.roomFor("n", [])
  expect(again.allocator.allocate()).toHaveLength(1)
})

test("a host without a block says that the store is away", async () => {
  const store = new MemoryStore()
  store.away = true
  await expect(keeper(store, "a").blocks.roomFor("n", [])).rejects.toMatchObject({
    code: "store-away",
  })
})

test("an address that is asked for brings its block, or is refused with who has it", async () => {
  const store = new MemoryStore()
  const [a, b] = [keeper(store, "a"), keeper(store, "b")]
  await a.blocks.roomFor("n", ["10.42.7.9"])
  expect(a.blocks.held("n")).toEqual(["10.42.7.0/24"])
  expect(a.allocator.allocate({ requested: ["10.42.7.9"] })).toHaveLength(1)
  await expect(b.blocks.roomFor("n", ["10.42.7.10"])).rejects.toMatchObject({
    code: "address-taken",
    message: expect.stringContaining("name of a"),
  })
  // What is outside the network is the allocator's to refuse.
  await b.blocks.roomFor("n", ["192.0.2.1"])
  expect(b.blocks.held("n")).toEqual([])
})

test("two hosts never hold one block, and another is leased before the first is full", async () => {
  const store = new MemoryStore()
  const [a, b] = [keeper(store, "a"), keeper(store, "b")]
  await Promise.all([a.blocks.ensureFirst("n"), b.blocks.ensureFirst("n")])
  for (let count = 0; count < 600; count++) {
    await a.blocks.roomFor("n", [])
    a.allocator.allocate()
  }
  expect(a.blocks.held("n").length).toBeGreaterThanOrEqual(3)
  expect(a.blocks.held("n")).not.toContain(b.blocks.held("n")[0])
})

test("a host that was alone before leases the blocks of what is attached", async () => {
  const journal = Journal.open(":memory:", { bootId: "b" })
  const endpoint = {
    network: "n",
    containerId: "c",
    ifname: "eth0",
    kind: "port",
    netns: undefined,
    names: { aliases: [], labels: {} },
    request: {},
  } as const
  journal.begin(endpoint, [{ address: "10.42.9.5", prefix: 16, gateway: "10.42.0.1" }])
  const { blocks, allocator } = keeper(new MemoryStore(), "a", journal)
  await blocks.ensureFirst("n")
  expect(blocks.held("n")).toEqual(["10.42.9.0/24"])
  expect(allocator.stateOf("10.42.9.5")).toBe("given")
})
