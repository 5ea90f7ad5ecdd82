import { describe, expect, test } from "bun:test"
import { fixture, keys } from "../../../test/cluster_model/directory_fixture.ts"
import { GRACE_MS, Observer, REUSE_MS } from "../../../test/cluster_model/observer.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"

const A = "10.42.1.0/24"
const B = "10.42.2.0/24"

describe("a host", () => {
  test("that joins is a peer with its blocks, told in one event", () => {
    const { observer, directory, h1, tell } = fixture()
    const networks = { n: { driver: "ipsec", overlay: ["10.42.1.254"], parameters: { port: "1" } } }
    tell(h1.identityWrite(), h1.recordWrite({ networks }), h1.aliveWrite(), h1.claimWrite(A))
    expect(observer.take()).toEqual(["host h1"])
    expect(directory.peers("n")).toEqual([
      {
        hostId: "h1",
        name: "name-h1",
        number: 1,
        underlay: ["192.0.0.1"],
        overlay: ["10.42.1.254"],
        blocks: [A],
        mtu: undefined,
        parameters: { port: "1" },
      },
    ])
    expect(directory.peers("other")).toEqual([])
    expect(directory.peers("constructor")).toEqual([])
    tell(h1.claimWrite(B))
    expect(observer.take()).toEqual(["host h1"])
    expect(directory.peer("n", "h1")?.blocks).toEqual([A, B])
    expect(observer.refused).toEqual([])
  })

  test("comes in whatever order its records come", () => {
    const { observer, directory, h1, tell } = fixture()
    tell(h1.endpointWrite("10.42.1.7"))
    tell(h1.claimWrite(A))
    tell(h1.aliveWrite())
    tell(h1.recordWrite())
    expect(directory.hosts()).toEqual([])
    expect(observer.take()).toEqual([])
    tell(h1.identityWrite())
    expect(observer.take()).toEqual(["put h1 10.42.1.7", "host h1"])
    expect(directory.peer("n", "h1")?.blocks).toEqual([A])
    tell(h1.endpointWrite("10.42.2.7"))
    expect(observer.take()).toEqual([])
    tell(h1.claimWrite(B))
    expect(observer.take()).toEqual(["put h1 10.42.2.7", "host h1"])
  })

  test("that is silent for too long goes off the mesh, keeps its blocks, and comes back", () => {
    const { observer, directory, h1, tell, pass, gone } = fixture()
    tell(...h1.join(), h1.claimWrite(A))
    gone(h1)
    pass(GRACE_MS - 1)
    expect(directory.peer("n", "h1")).toBeDefined()
    observer.take()
    pass(1)
    expect(observer.take()).toEqual(["gone h1"])
    expect(directory.peer("n", "h1")).toBeUndefined()
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    pass(GRACE_MS)
    expect(observer.take()).toEqual([])
    tell(h1.aliveWrite())
    expect(observer.take()).toEqual(["host h1"])
    expect(directory.peer("n", "h1")?.blocks).toEqual([A])
  })

  test("that was silent for a moment is never off the mesh", () => {
    const { observer, h1, tell, pass, gone } = fixture()
    tell(...h1.join())
    gone(h1)
    pass(GRACE_MS - 1)
    tell(h1.aliveWrite())
    observer.take()
    pass(10 * GRACE_MS)
    expect(observer.take()).toEqual([])
  })

  test("is not silent before it can have noticed that the store is back", () => {
    const { store, directory, observer, h1, tell, pass, gone } = fixture({
      returnMs: 10 * GRACE_MS,
    })
    tell(...h1.join())
    directory.storeReachable(false)
    pass(100 * GRACE_MS)
    directory.storeReachable(true)
    gone(h1)
    pass(9 * GRACE_MS)
    expect(directory.host("h1")?.member).toBe(true)
    tell(h1.aliveWrite())
    pass(9 * GRACE_MS)
    expect(directory.host("h1")?.member).toBe(true)
    gone(h1)
    pass(GRACE_MS)
    expect(directory.host("h1")?.member).toBe(false)
    tell(h1.aliveWrite())
    // So where the store was put back, and was never away for this host.
    gone(h1)
    directory.snapshot({ ...store.listing(keys.prefix), revision: 1 })
    observer.take()
    pass(9 * GRACE_MS)
    expect(observer.take()).toEqual([])
    pass(GRACE_MS)
    expect(observer.take()).toEqual(["gone h1"])
  })

  test("is not silent while the store cannot be heard", () => {
    const { observer, directory, h1, tell, pass, gone } = fixture()
    tell(...h1.join(), h1.claimWrite(A))
    gone(h1)
    pass(GRACE_MS - 1)
    directory.storeReachable(false)
    directory.storeReachable(false)
    pass(REUSE_MS)
    expect(directory.peer("n", "h1")).toBeDefined()
    directory.storeReachable(true)
    directory.storeReachable(true)
    observer.take()
    pass(0)
    expect(observer.take()).toEqual([])
    pass(1)
    expect(observer.take()).toEqual(["gone h1"])
    // What it was silent before and after counts together.
    pass(REUSE_MS - GRACE_MS - 1)
    expect(directory.mayTakeOver("n", A, "h1")).toBe(false)
    pass(1)
    expect(directory.mayTakeOver("n", A, "h1")).toBe(true)
  })

  test("that was never there may lose its blocks one day", () => {
    const { directory, h1, tell, pass } = fixture()
    tell(h1.identityWrite(), h1.claimWrite(A))
    expect(directory.mayTakeOver("n", A, "h1")).toBe(false)
    pass(REUSE_MS)
    expect(directory.mayTakeOver("n", A, "h1")).toBe(true)
  })

  test("whose claim nobody believes keeps its block for as long as one that is gone", () => {
    const { directory, h1, tell, pass } = fixture()
    expect(directory.mayTakeOver("n", A, "h1")).toBe(false)
    tell(h1.claimWrite(A))
    pass(REUSE_MS - 1)
    expect(directory.mayTakeOver("n", A, "h1")).toBe(false)
    pass(1)
    expect(directory.mayTakeOver("n", A, "h1")).toBe(true)
  })
})

describe("what is refused, is told once and changes nothing", () => {
  test("a block of another host, until that host gives it up", () => {
    const { observer, directory, h1, h2, tell } = fixture()
    tell(...h1.join(), ...h2.join(), h1.claimWrite(A))
    tell(h2.claimWrite(A))
    tell(h2.claimWrite(A))
    expect(observer.takeRefused()).toEqual(["block held h2"])
    expect(observer.messages[0]).toBe(
      `Cannot take block ${A} of network n for host name-h2: held: host name-h1 holds it`,
    )
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    // A key that is gone is no release, nor is another host's word.
    tell({ key: keys.block("n", A), value: undefined })
    tell(h2.claimWrite(A, "released"))
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    tell(h2.claimWrite(A))
    observer.take()
    tell(h1.claimWrite(A, "released", { to: "h2" }))
    expect(directory.holderOf("n", A)).toBeUndefined()
    expect(observer.take()).toEqual(["host h1"])
    tell(h2.claimWrite(A))
    expect(directory.peer("n", "h2")?.blocks).toEqual([A])
  })

  test("a block of a host that is there and bears it, until it has done so for minutes", () => {
    const { observer, directory, store, h1, h2, tell, pass, gone } = fixture()
    tell(...h1.join(), ...h2.join(), h1.claimWrite(A))
    // The release is missed: the store was compacted meanwhile.
    store.write([h1.claimWrite(A, "released")])
    store.write([h2.claimWrite(A)])
    store.compact()
    store.deliver()
    expect(observer.takeRefused()).toEqual(["block held h2"])
    pass(119_999)
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    // A host that is not there cannot consent.
    gone(h1)
    pass(1)
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    tell(h1.aliveWrite())
    pass(119_999)
    // What it takes back begins anew.
    tell(h1.claimWrite(A))
    tell(h2.claimWrite(A))
    pass(119_999)
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    directory.storeReachable(false)
    pass(REUSE_MS)
    directory.storeReachable(true)
    pass(0)
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    observer.take()
    pass(1)
    expect(directory.holderOf("n", A)?.hostId).toBe("h2")
    expect(observer.take()).toEqual(["host h1", "host h2"])
  })

  test("a block of a host that is gone, until it is so for long enough", () => {
    const { observer, directory, h1, h2, tell, pass, gone } = fixture()
    tell(...h1.join(), ...h2.join(), h1.claimWrite(A), h1.endpointWrite("10.42.1.7"))
    gone(h1)
    pass(REUSE_MS - 1)
    tell(h2.claimWrite(A, "held", { from: "h1" }))
    expect(observer.takeRefused()).toEqual(["block held h2"])
    observer.take()
    pass(1)
    expect(observer.take()).toEqual(["removed h1 10.42.1.7", "host h1", "host h2"])
    expect(directory.peer("n", "h2")?.blocks).toEqual([A])
    expect(directory.host("h1")?.endpoints.size).toBe(0)
  })

  test("a block of this host, and one that is none", () => {
    const { observer, directory, h1, tell, pass } = fixture()
    observer.mine.add(A)
    tell(...h1.join())
    observer.take()
    tell(h1.claimWrite(A), h1.claimWrite("10.42.1.0/25"))
    expect(observer.takeRefused()).toEqual(["block mine h1", "block no-block h1"])
    // This host is told, for it to settle whose the block is.
    expect(observer.take()).toEqual([`own ${A}`])
    expect(directory.peer("n", "h1")?.blocks).toEqual([])
    observer.mine.clear()
    pass(0)
    expect(directory.peer("n", "h1")?.blocks).toEqual([A])
  })

  test("an own word from before on a block that this host holds", () => {
    const { observer, directory, tell } = fixture()
    const before = observer.self.claimWrite(A, "released")
    observer.mine.add(A)
    tell(observer.self.claimWrite(A))
    expect(observer.take()).toEqual([])
    tell(before)
    expect(observer.take()).toEqual([`own ${A}`])
    expect(observer.takeRefused()).toEqual(["block sequence ?"])
    expect(directory.holderOf("n", A)).toBeUndefined()
  })

  test("a word of this host that is not its own takes no block from anybody", () => {
    const { observer, directory, h1, tell } = fixture()
    tell(...h1.join(), h1.claimWrite(A))
    const forger = new TestHost("me", 7, keys)
    observer.mine.add(A)
    tell(forger.claimWrite(A))
    expect(observer.takeRefused()).toEqual(["block signature ?"])
    observer.mine.clear()
    tell(observer.self.claimWrite(A))
    expect(directory.holderOf("n", A)?.hostId).toBe("h1")
    observer.mine.add(A)
    tell(observer.self.claimWrite(A))
    expect(directory.holderOf("n", A)).toBeUndefined()
  })

  test("an own block that vanishes is told", () => {
    const { observer, tell } = fixture()
    observer.mine.add(A)
    tell(observer.self.claimWrite(A))
    expect(observer.take()).toEqual([])
    tell({ key: keys.block("n", A), value: undefined })
    expect(observer.take()).toEqual([`own ${A}`])
  })

  test("containers outside of their host's blocks, in any of their addresses", () => {
    const { observer, h1, h2, tell } = fixture()
    tell(...h1.join(), ...h2.join(), h1.claimWrite(A), h2.claimWrite(B))
    observer.take()
    tell(h2.endpointWrite("10.42.1.7"))
    tell(h2.endpointWrite("10.42.2.7", { addresses: ["10.42.2.7", "10.42.1.9"] }))
    tell(h2.endpointWrite("10.42.2.8", { addresses: ["10.42.2.9"] }))
    expect(observer.takeRefused()).toEqual(["endpoint outside h2", "endpoint address h2"])
    expect(observer.take()).toEqual([])
    tell(h2.endpointWrite("10.42.2.7"))
    expect(observer.take()).toEqual(["put h2 10.42.2.7"])
  })

  test("own addresses outside of its blocks, once its blocks would be known", () => {
    const { observer, directory, h1, tell, pass } = fixture()
    const networks = {
      n: { driver: "ipsec", overlay: ["10.42.2.9", "10.42.1.9"], parameters: {} },
    }
    tell(...h1.join(), h1.recordWrite({ networks }))
    tell(h1.claimWrite(A))
    expect(directory.peer("n", "h1")?.overlay).toEqual(["10.42.1.9"])
    expect(observer.takeRefused()).toEqual([])
    pass(1)
    expect(observer.takeRefused()).toEqual(["overlay overlay h1"])
    tell(h1.claimWrite(B))
    pass(1)
    expect(observer.takeRefused()).toEqual([])
    expect(directory.peer("n", "h1")?.overlay).toEqual(["10.42.2.9", "10.42.1.9"])
  })

  test("an underlay address that is this host's or another member's", () => {
    const { observer, directory, h1, h2, tell, pass, gone } = fixture()
    tell(...h1.join())
    tell(...h2.join(), h2.recordWrite({ underlay: [h1.underlay] }))
    expect(observer.takeRefused()).toEqual(["underlay underlay h2"])
    expect(observer.messages).toEqual([
      "Cannot reach host name-h2: underlay: 192.0.0.1 is host name-h1's",
    ])
    expect(directory.peers("n").map(({ hostId }) => hostId)).toEqual(["h1"])
    // It was that host's address, which has another one now.
    gone(h1)
    pass(GRACE_MS)
    expect(directory.peers("n").map(({ hostId }) => hostId)).toEqual(["h2"])
    tell(h1.aliveWrite())
    expect(directory.peers("n").map(({ hostId }) => hostId)).toEqual(["h2"])
    tell(h1.recordWrite({ underlay: ["192.0.2.202"] }))
    expect(directory.peer("n", "h1")).toBeDefined()
    tell(h1.recordWrite({ underlay: ["192.0.2.200"] }))
    expect(directory.peer("n", "h1")).toBeUndefined()
    expect(observer.messages.at(-1)).toBe(
      "Cannot reach host name-h1: underlay: 192.0.2.200 is this host's",
    )
    tell(h1.recordWrite({ underlay: ["192.0.2.201"] }))
    expect(directory.peer("n", "h1")).toBeDefined()
  })

  test("two hosts may change addresses with each other", () => {
    const { directory, h1, h2, tell } = fixture()
    tell(...h1.join(), ...h2.join())
    tell(h1.recordWrite({ underlay: [h2.underlay] }))
    tell(h2.recordWrite({ underlay: [h1.underlay] }))
    expect(directory.peers("n").map(({ underlay }) => underlay[0])).toEqual([
      h2.underlay,
      h1.underlay,
    ])
  })

  test("two hosts with one number, or one with another key", () => {
    const { observer, directory, h1, tell } = fixture()
    tell(...h1.join())
    const twin = new TestHost("h3", 1, keys)
    tell(...twin.join())
    const impostor = new TestHost("h1", 9, keys)
    tell(...impostor.join())
    const like = new TestHost("h4", 60_000, keys)
    tell(like.identityWrite())
    expect(observer.takeRefused()).toEqual([
      "identity number ?",
      "identity public-key h1",
      "host signature h1",
    ])
    expect(directory.hosts().map(({ hostId, number }) => [hostId, number])).toEqual([["h1", 1]])
  })

  test("hosts that are not to be let in, with their containers; their blocks stay theirs", () => {
    const { observer, directory, h1, h2, tell } = fixture({ allow: ["h1", "name-h9"] })
    tell(...h1.join(), ...h2.join(), h2.claimWrite(B), h2.endpointWrite("10.42.2.7"))
    expect(observer.takeRefused()).toEqual(["host allow h2"])
    expect(directory.peers("n").map(({ hostId }) => hostId)).toEqual(["h1"])
    expect(directory.holderOf("n", B)?.hostId).toBe("h2")
    tell(h2.recordWrite({ name: "name-h9" }))
    expect(directory.peer("n", "h2")).toBeDefined()
    expect(observer.containers.size).toBe(1)
  })

  test("damaged, moved and old records, in every kind", () => {
    const { observer, h1, h2, tell, store } = fixture()
    tell(...h1.join(), ...h2.join(), h1.claimWrite(A), h1.endpointWrite("10.42.1.7"))
    const old = h1.recordWrite({ name: "old" })
    tell(h1.recordWrite({ name: "new" }))
    const shape = JSON.stringify(observer.shape())
    tell(old)
    tell({ key: keys.host("h2"), value: store.listing(keys.host("h1")).entries[0]?.value })
    tell({ key: keys.endpoint("n", "10.42.1.7"), value: "x".repeat(100_000) })
    tell({ key: keys.keys("h1"), value: "" })
    observer.take()
    tell(h1.recordWrite({ name: "new" }))
    // Nothing makes it good: it is not looked at again.
    expect(observer.take()).toEqual(["host h1"])
    tell(h2.claimWrite(B, "held", { to: "a b" }))
    expect(observer.takeRefused()).toEqual([
      "host sequence h1",
      "host key h2",
      "endpoint format ?",
      "keys format h1",
      "block claim h2",
    ])
    expect(JSON.stringify(observer.shape())).toBe(shape)
  })
})

test("a large cluster is taken in by parts, in order, and is the same in the end", () => {
  const waiting: (() => void)[] = []
  let now = 0
  const { observer, directory, store, h1, h2, tell } = fixture({
    clock: () => (now += 4),
    later: (go) => void waiting.push(go),
  })
  tell(...h1.join(), h1.claimWrite(A), h1.endpointWrite("10.42.1.7"))
  tell(...h2.join(), h1.claimWrite(A, "released"), h2.claimWrite(B))
  expect(waiting).toHaveLength(1)
  expect(directory.peers("n")).toEqual([])
  let turns = 0
  for (let go = waiting.shift(); go !== undefined; go = waiting.shift(), turns++) go()
  expect(turns).toBeGreaterThan(3)
  const fresh = new Observer(keys)
  fresh.directory.snapshot(store.listing(keys.prefix))
  expect(observer.shape()).toEqual(fresh.shape())
  tell(h1.recordWrite(), h2.recordWrite(), h1.aliveWrite(), h2.aliveWrite(), h1.claimWrite(A))
  directory.close()
  for (let go = waiting.shift(); go !== undefined; go = waiting.shift()) go()
  expect(directory.holderOf("n", A)).toBeUndefined()
})

test("a record that waits for nothing is not looked at again, and a flood of them costs little", () => {
  const { observer, directory, h1, tell, pass } = fixture()
  tell(...h1.join())
  const claims = Array.from({ length: 2000 }, (_, n) => new TestHost(`x${n}`, n + 10, keys))
  tell(...claims.map((host, n) => host.claimWrite(`10.${43 + (n >> 8)}.${n & 255}.0/24`)))
  expect(observer.takeRefused()).toEqual(["identity unknown-host ?"])
  pass(1)
  expect(observer.takeRefused()).toEqual([])
  expect(directory.hosts()).toHaveLength(1)
})
