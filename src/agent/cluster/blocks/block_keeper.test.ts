import { describe, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { MemoryStore } from "../../../../test/cluster_model/memory_store.ts"
import { storedBlocks } from "../../../../test/cluster_model/stored_blocks.ts"
import { BlockLeases } from "../../../cluster/blocks/block_lease.ts"
import { HostIdentity } from "../../../cluster/records/identity.ts"
import { Keyspace } from "../../../cluster/records/keyspace.ts"
import type { Network } from "../../../config/network.ts"
import { Allocator } from "../../../ipam/allocator.ts"
import { Health } from "../../health.ts"
import { StateDatabase } from "../../state/state_database.ts"
import { Signer } from "../signer.ts"
import { ClusterState } from "../state/cluster_state.ts"
import { BlockKeeper } from "./block_keeper.ts"

const SUBNET = {
  cidr: "10.42.0.0/16",
  gateway: "10.42.0.1",
  start: "10.42.0.2",
  end: "10.42.255.250",
}
const NETWORK = {
  name: "n",
  subnets: [SUBNET],
  encapsulation: { blockSize: undefined },
} as unknown as Network

const ENDPOINT = {
  network: "n",
  containerId: "c",
  ifname: "eth0",
  kind: "port",
  netns: undefined,
  names: { aliases: [], labels: {} },
  request: {},
} as const

/** One host's keeper over a store that others may share. */
function keeper(
  store: MemoryStore,
  hostId: string,
  stateDatabase = StateDatabase.open(":memory:", { bootId: "b" }),
) {
  const keys = new Keyspace("edge")
  const memory = new ClusterState(stateDatabase, "edge")
  const identity = HostIdentity.create((length) => Uint8Array.from(randomBytes(length)))
  const signer = new Signer(memory, hostId, { identity, psk: undefined })
  const health = new Health()
  const changed: string[] = []
  const left: string[] = []
  const blocks: BlockKeeper = new BlockKeeper({
    memory,
    stateDatabase,
    health,
    leases: () => leases,
    allocatorOf: () => allocator,
    onChange: (network) => changed.push(network),
    onLost: (rows) => left.push(...rows.map(({ containerId }) => containerId)),
    nameOf: (id) => `name of ${id}`,
    patienceMs: 0,
  })
  const leases = new BlockLeases({
    store,
    keys,
    hostId,
    sign: (key, state, reason) => signer.sign("block", key, { state, ...reason }),
    isMine: (network, block) => blocks.isHeld(network, block),
    holderOf: () => undefined,
    mayTakeOver: () => false,
    clock: () => 0,
  })
  const pools = blocks.pools(NETWORK)
  const allocator = new Allocator({
    network: "n",
    subnets: pools,
    families: [4],
    restMs: 0,
    clock: () => 0,
  })
  allocator.restore(stateDatabase.leases("n"))
  const claimText = (key: string) => signer.sign("block", key, { state: "held" })
  return { blocks, allocator, health, changed, stateDatabase, left, claimText }
}

type Keeper = ReturnType<typeof keeper>

/** Gives a container an address, as an attach does. */
async function attach(
  { blocks, allocator, stateDatabase }: Keeper,
  containerId: string,
  ...asked: string[]
) {
  await blocks.roomFor("n", asked)
  const [given] = allocator.allocate({ requested: asked })
  if (given === undefined) throw new Error("no address")
  const { address, prefix, gateway } = given
  const id = stateDatabase.begin({ ...ENDPOINT, containerId }, [{ address, prefix, gateway }])
  stateDatabase.finish(id, { result: {} })
  const detach = () => {
    stateDatabase.remove(id)
    allocator.release(address)
  }
  return { address, detach }
}

test("as many hosts have room for IPv6 as for IPv4", () => {
  const { blocks } = keeper(new MemoryStore(), "a")
  const subnet6 = { cidr: "fd00::/64", gateway: "fd00::1", start: "fd00::2", end: "fd00::ff:ffff" }
  const encapsulation = { ...NETWORK.encapsulation, blockSize: 26 }
  blocks.pools({ ...NETWORK, name: "both", subnets: [SUBNET, subnet6], encapsulation })
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
  const again = keeper(store, "a", first.stateDatabase)
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
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  stateDatabase.begin(ENDPOINT, [{ address: "10.42.9.5", prefix: 16, gateway: "10.42.0.1" }])
  const { blocks, allocator } = keeper(new MemoryStore(), "a", stateDatabase)
  await blocks.ensureFirst("n")
  expect(blocks.held("n")).toEqual(["10.42.9.0/24"])
  expect(allocator.stateOf("10.42.9.5")).toBe("given")
})

test("a network that is called otherwise keeps its blocks, and claims them under its name", async () => {
  const store = new MemoryStore()
  const a = keeper(store, "a")
  const { address } = await attach(a, "c")
  const [block = ""] = a.blocks.held("n")
  const own = a.blocks.overlay("n")
  a.stateDatabase.movePool("n", "m")
  a.blocks.rename("n", "m")
  a.allocator.rename("m")
  a.blocks.pools({ ...NETWORK, name: "m" })
  expect([a.blocks.held("n"), a.blocks.held("m")]).toEqual([[], [block]])
  expect(a.blocks.overlay("m")).toEqual(own)
  await a.blocks.confirm("m")
  expect(a.blocks.held("m")).toEqual([block])
  expect(a.allocator.stateOf(address)).toBe("given")
  // Who still calls it so must not take the block.
  for (const network of ["n", "m"]) {
    expect(await storedBlocks(store, new Keyspace("edge"), "a", network)).toEqual([block])
  }
})

test("containers in a block of another host are told of, keep it from that host, until they are gone", async () => {
  const store = new MemoryStore()
  await attach(keeper(store, "former"), "old", "10.42.7.9")
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const addresses = [{ address: "10.42.7.10", prefix: 16, gateway: "10.42.0.1" }]
  const id = stateDatabase.begin(ENDPOINT, addresses)
  const a = keeper(store, "a", stateDatabase)
  a.blocks.lookForStrange("n")
  expect(a.blocks.isOccupied("n", "10.42.7.0/24")).toBe(true)
  const row = stateDatabase.endpoint(id)
  expect(row && a.blocks.isStranded({ ...row, pool: "n" })).toBe(true)
  await a.blocks.confirm("n")
  expect(a.health.problems().map(({ what }) => what)).toEqual([
    expect.stringContaining("which is name of former's"),
  ])
  expect(a.blocks.isHeld("n", "10.42.7.0/24")).toBe(false)
  stateDatabase.remove(id)
  await a.blocks.confirm("n")
  expect(a.health.problems()).toEqual([])
  expect(a.blocks.isOccupied("n", "10.42.7.0/24")).toBe(false)
})

describe("a block that another host got while this one was away, and both have containers in it", () => {
  const BLOCK = "10.42.7.0/24"

  /** `a` has it, then `c` in a store that was put back; `a` comes back. */
  async function conflict() {
    const store = new MemoryStore()
    const before = store.image()
    const first = keeper(store, "a")
    const asked = await attach(first, "old", "10.42.7.9")
    store.putBack(before)
    const c = keeper(store, "c")
    await attach(c, "new", "10.42.7.10")
    const a = keeper(store, "a", first.stateDatabase)
    await a.blocks.confirm("n")
    await c.blocks.confirm("n")
    await a.blocks.confirm("n")
    await c.blocks.confirm("n")
    return { store, a, c, asked }
  }

  test("is kept by the one whose claim the store has seen, and the other says what is left", async () => {
    const { store, a, c } = await conflict()
    expect(c.blocks.lost.has("n", BLOCK)).toBe(false)
    expect(c.health.problems()).toEqual([])
    expect(a.blocks.lost.holderOf("n", BLOCK)).toBe("c")
    expect(a.left).toEqual(["old"])
    const [problem, ...others] = a.health.problems()
    expect([problem?.severity, problem?.code, others]).toEqual(["error", "address-taken", []])
    expect(problem?.what).toContain(`block ${BLOCK} of network n is name of c's`)
    expect(problem?.what).toContain("(10.42.7.9)")
    const { revision } = store
    for (const host of [a, c]) await host.blocks.confirm("n")
    expect(store.revision).toBe(revision)
  })

  test("gives no address any more, and another one is there instead, for the host itself too", async () => {
    const { a } = await conflict()
    expect(a.blocks.held("n")).toHaveLength(2)
    const [own = ""] = a.blocks.overlay("n")
    expect(own).not.toStartWith("10.42.7.")
    expect((await attach(a, "next")).address).not.toStartWith("10.42.7.")
    await expect(a.blocks.roomFor("n", ["10.42.7.20"])).rejects.toMatchObject({
      code: "address-taken",
      message: expect.stringContaining("name of c"),
    })
    expect(a.allocator.isRetired("10.42.7.9")).toBe(true)
    // Not even to who had it.
    expect(() => a.allocator.allocate({ requested: ["10.42.7.20"] })).toThrow("another host's")
  })

  test("stays so after a restart without the store", async () => {
    const { store, a } = await conflict()
    store.away = true
    const again = keeper(store, "a", a.stateDatabase)
    expect((await attach(again, "next")).address).not.toStartWith("10.42.7.")
    expect(again.allocator.stateOf("10.42.7.9")).toBe("given")
    expect(again.allocator.isRetired("10.42.7.9")).toBe(true)
    expect(again.blocks.overlay("n")).toEqual(a.blocks.overlay("n"))
  })

  test("goes with its last container", async () => {
    const { a, asked } = await conflict()
    asked.detach()
    a.allocator.release(asked.address)
    await a.blocks.confirm("n")
    expect(a.blocks.held("n")).not.toContain(BLOCK)
    expect(a.health.problems()).toEqual([])
    expect(a.allocator.stateOf("10.42.7.9")).toBe("outside")
    expect(a.blocks.lost.has("n", BLOCK)).toBe(false)
  })

  test("is gone at once where no container of this host is in it", async () => {
    const store = new MemoryStore()
    const before = store.image()
    const first = keeper(store, "a")
    await first.blocks.roomFor("n", ["10.42.7.9"])
    store.putBack(before)
    const c = keeper(store, "c")
    await attach(c, "new", "10.42.7.10")
    const a = keeper(store, "a", first.stateDatabase)
    for (const host of [a, c, a, c]) await host.blocks.confirm("n")
    expect(a.health.problems()).toEqual([])
    expect(a.blocks.lost.has("n", BLOCK)).toBe(false)
    expect(a.blocks.held("n")).not.toContain(BLOCK)
    expect(await storedBlocks(store, new Keyspace("edge"), "c")).toContain(BLOCK)
  })
})

test("a block that somebody writes over is taken back, told of, and not in a loop without end", async () => {
  const store = new MemoryStore()
  const a = keeper(store, "a")
  await attach(a, "one", "10.42.7.9")
  const rival = keeper(store, "rogue")
  const key = new Keyspace("edge").block("n", "10.42.7.0/24")
  const writeOver = () => store.write([{ key, value: rival.claimText(key) }])
  writeOver()
  await a.blocks.confirm("n")
  expect(a.health.problems()[0]?.what).toContain("was claimed by name of rogue")
  expect(await storedBlocks(store, new Keyspace("edge"), "a")).toContain("10.42.7.0/24")
  // At once again: that has to wait, and the block is kept all the same.
  writeOver()
  const { revision } = store
  await a.blocks.confirm("n")
  expect(store.revision).toBe(revision)
  expect(a.blocks.held("n")).toContain("10.42.7.0/24")
})
