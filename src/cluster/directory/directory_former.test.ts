import { expect, test } from "bun:test"
import { keys } from "../../../test/cluster_model/directory_fixture.ts"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { GRACE_MS, Observer } from "../../../test/cluster_model/observer.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"
import type { FormerMember } from "./directory.ts"

const A = "10.42.1.0/24"
const B = "10.42.2.0/24"
/** When the process begins. */
const NOW = 10 * GRACE_MS

/**
 * A directory that begins while h1, with a block and a container, has no presence, and h2 is there.
 *
 * @param h1Was how h1 stood when the process before ended
 */
function fixture(h1Was: FormerMember | undefined, h2Underlay = ["192.0.0.2"]) {
  const store = new MemoryStore()
  const [h1, h2] = [new TestHost("h1", 1, keys), new TestHost("h2", 2, keys)]
  const { value: record } = h2.recordWrite({ underlay: h2Underlay })
  store.write([
    ...[h1.identityWrite(), h1.recordWrite(), h1.claimWrite(A), h1.endpointWrite("10.42.1.7")],
    ...[h2.identityWrite(), { key: keys.host("h2"), value: record }, h2.aliveWrite()],
    h2.claimWrite(B),
  ])
  const former = (hostId: string) => (hostId === "h1" ? h1Was : undefined)
  const observer = new Observer(keys, { former })
  observer.now = NOW
  const { directory } = observer
  store.watch(keys.prefix, directory)
  store.deliver()
  const pass = (ms: number) => {
    observer.now += ms
    directory.tick()
  }
  const members = () => directory.peers("n").map(({ hostId }) => hostId)
  return { store, observer, directory, h1, pass, members }
}

test("a host that was there when the process before ended has all of its time", () => {
  const { observer, directory, pass, members } = fixture({ absentSince: undefined })
  expect(members()).toEqual(["h1", "h2"])
  expect(directory.peer("n", "h1")?.blocks).toEqual([A])
  expect([...observer.containers.keys()]).toEqual(["n uuid h1 10.42.1.7"])
  pass(GRACE_MS - 1)
  expect(members()).toEqual(["h1", "h2"])
  observer.take()
  pass(1)
  expect(members()).toEqual(["h2"])
  expect(observer.take()).toEqual(["gone h1"])
})

test("one that was silent by then has what is left of it", () => {
  const { pass, members } = fixture({ absentSince: NOW - 100 })
  pass(GRACE_MS - 101)
  expect(members()).toEqual(["h1", "h2"])
  pass(1)
  expect(members()).toEqual(["h2"])
})

test.each([
  ["was off the mesh, or in another life of the kernel", undefined],
  ["has had its time", { absentSince: NOW - GRACE_MS }],
])("one that %s is not on it", (_name, former) => {
  const { observer, members, pass } = fixture(former)
  expect(members()).toEqual(["h2"])
  pass(GRACE_MS)
  expect(observer.take()).not.toContain("gone h1")
})

test("one that comes back in its time was never away", () => {
  const { store, observer, h1, pass, members } = fixture({ absentSince: undefined })
  pass(GRACE_MS - 1)
  store.write([h1.aliveWrite()])
  store.deliver()
  observer.take()
  pass(10 * GRACE_MS)
  expect(members()).toEqual(["h1", "h2"])
  expect(observer.take()).toEqual([])
})

test("who is there now has the address that both say to have", () => {
  const { members, observer, pass } = fixture({ absentSince: undefined }, ["192.0.0.1"])
  expect(members()).toEqual(["h2"])
  expect(observer.takeRefused()).toEqual(["underlay underlay h1"])
  pass(GRACE_MS)
  expect(members()).toEqual(["h2"])
})

test("what the store says later is as without a process before", () => {
  const { store, directory, h1, pass, members } = fixture({ absentSince: undefined })
  pass(GRACE_MS)
  store.write([h1.recordWrite({ name: "again" })])
  store.compact()
  store.deliver()
  expect(directory.host("h1")?.record?.name).toBe("again")
  expect(members()).toEqual(["h2"])
})
