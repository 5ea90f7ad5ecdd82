import { afterEach, beforeEach, expect, test } from "bun:test"
import { waitFor } from "../../../test/clients/program.ts"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"
import { parseEndpointRecord } from "../../cluster/records/endpoint_record.ts"
import { peek } from "../../cluster/records/envelope.ts"
import { Keyspace } from "../../cluster/records/keyspace.ts"
import { LariatError } from "../../errors.ts"
import { Health } from "../health.ts"
import type { EndpointRow } from "../state/rows.ts"
import { StateDatabase } from "../state/state_database.ts"
import { EndpointPublisher } from "./endpoint_publisher.ts"
import { Signer } from "./signer.ts"
import { ClusterState } from "./state/cluster_state.ts"

const keys = new Keyspace("edge")
const A = keys.endpoint("mesh", "10.42.1.7")
const B = keys.endpoint("mesh", "fd00:42::7")

function row(id: number, more: Partial<EndpointRow> = {}): EndpointRow {
  return {
    id,
    network: "mesh",
    pool: "mesh",
    containerId: `c${id}`,
    ifname: "eth0",
    kind: "port",
    netns: undefined,
    hostName: "lrt",
    hostIndex: undefined,
    mac: "02:00:00:00:00:01",
    mtu: 1450,
    names: { aliases: [], labels: {} },
    request: { args: {} },
    addresses: [
      { address: "10.42.1.7", prefix: 16, gateway: undefined },
      { address: "fd00:42::7", prefix: 64, gateway: undefined },
    ],
    state: "attached",
    createdAt: 0,
    bootId: "b",
    result: undefined,
    ...more,
  }
}

let store: MemoryStore
let signer: Signer
let publisher: EndpointPublisher
let failures: unknown[]
let health: Health
/** Addresses that are another host's. */
let lost: Set<string>
/** The network that has other hosts. */
let shared: string
beforeEach(() => {
  store = new MemoryStore()
  failures = []
  lost = new Set()
  shared = "mesh"
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b", wallClock: () => 0 })
  const { identity } = new TestHost("me", 1, keys)
  health = new Health()
  signer = new Signer(new ClusterState(stateDatabase, "edge"), "me", { identity, psk: undefined })
  publisher = new EndpointPublisher({
    store,
    keys,
    signer,
    isShared: (network, address) => network === shared && !lost.has(address),
    health,
    onFailure: (error) => failures.push(error),
  })
})
afterEach(() => publisher.stop())

const container = async (key: string) => {
  const entry = await store.get(key)
  const envelope = entry && peek(entry.value)
  return envelope && parseEndpointRecord(envelope.body).containerId
}
/** Until each of both keys has that container, or none. */
const stands = (expected: string | undefined) =>
  waitFor(`${expected}`, async () => {
    const found = [await container(A), await container(B)]
    return found.every((one) => one === expected) || undefined
  })

test("a container is told of under each of its addresses, and no more when it is gone", async () => {
  publisher.changed(undefined, row(1, { state: "attaching" }))
  publisher.changed(row(1, { state: "attaching" }), row(1))
  await stands("c1")
  expect([...signer.written.keys()].sort()).toEqual([A, B])
  publisher.changed(row(1), undefined)
  await stands(undefined)
  // What is to be gone is not put back.
  expect(signer.written.size).toBe(0)
})

test("a container that gets the address of one that goes is what stands in the end", async () => {
  publisher.changed(undefined, row(1))
  publisher.changed(row(1), undefined)
  publisher.changed(undefined, row(2))
  await stands("c2")
  expect(store.calls.filter((call) => call === "commit")).toHaveLength(1)
})

test("a container whose network is called otherwise by now is told of under the new name alone", async () => {
  publisher.changed(undefined, row(1))
  await stands("c1")
  shared = "edge"
  publisher.changed(row(1), row(1, { pool: "edge" }))
  await stands(undefined)
  expect(await container(keys.endpoint("edge", "10.42.1.7"))).toBe("c1")
})

test("a network of this host alone is nobody else's business", async () => {
  publisher.changed(undefined, row(1, { network: "own", pool: "own" }))
  publisher.changed(undefined, row(2))
  await stands("c2")
  expect(store.listing(keys.prefix).entries).toHaveLength(2)
})

test("what could not be told is told as soon as the store answers, as it is by then", async () => {
  store.away = true
  publisher.changed(undefined, row(1))
  await waitFor("a failure", async () => failures.length > 0 || undefined)
  publisher.changed(row(1), undefined)
  publisher.changed(undefined, row(3))
  store.away = false
  await stands("c3")
})

test("a record that others wrote over, or an own one that is old, is put right", async () => {
  publisher.changed(undefined, row(1))
  await stands("c1")
  store.write([{ key: A, value: "garbage" }])
  publisher.rewrite(A)
  await stands("c1")
  // An old one of a container that is gone.
  const stray = keys.endpoint("mesh", "10.42.1.8")
  store.write([{ key: stray, value: signer.sign("endpoint", stray, {}) }])
  publisher.rewrite(stray)
  publisher.found(stray)
  publisher.found(A)
  await waitFor("the stray to go", async () => (await store.get(stray)) === undefined || undefined)
  await stands("c1")
})

test("an address that is another host's is not told of, and what that one wrote stays", async () => {
  publisher.changed(undefined, row(1))
  await stands("c1")
  lost.add("10.42.1.7")
  await publisher.withdraw([row(1)])
  expect(await store.get(A)).toBeUndefined()
  const told = async () => {
    const entry = await store.get(B)
    const envelope = entry && peek(entry.value)
    return envelope && parseEndpointRecord(envelope.body).addresses.join()
  }
  await waitFor("the other one", async () => (await told()) === "fd00:42::7" || undefined)

  const other = new TestHost("other", 2, keys, undefined, "mesh")
  const theirs = other.endpointWrite("10.42.1.7")
  store.write([theirs])
  lost.clear()
  publisher.changed(undefined, row(2))
  await stands("c2")
  store.write([theirs])
  lost.add("10.42.1.7")
  await publisher.withdraw([row(2)])
  publisher.changed(row(2), undefined)
  await waitFor("the other one to go", async () => (await told()) === undefined || undefined)
  expect((await store.get(A))?.value).toBe(theirs.value)
  expect([...signer.written.keys()]).toEqual([])
})

test("hundreds go in commits that etcd takes", async () => {
  const rows = Array.from({ length: 200 }, (_, n) =>
    row(n, { addresses: [{ address: `10.42.2.${n}`, prefix: 16, gateway: undefined }] }),
  )
  for (const one of rows) publisher.changed(undefined, one)
  await waitFor("all", async () => store.listing(keys.prefix).entries.length === 200 || undefined)
  expect(store.calls.filter((call) => call === "commit").length).toBeGreaterThanOrEqual(4)
})

/** Containers, each with one address of its own, from the first on. */
const many = (count: number, names: (n: number) => Partial<EndpointRow["names"]> = () => ({})) =>
  Array.from({ length: count }, (_, n) =>
    row(n, {
      addresses: [{ address: `10.42.2.${n}`, prefix: 16, gateway: undefined }],
      names: { aliases: [], labels: {}, ...names(n) },
    }),
  )
const standing = () => store.listing(keys.prefix).entries.map(({ key }) => key.split(".").at(-1))
const problems = () => health.problems().map(({ what }) => what)

test("large records go in commits of as many bytes as etcd takes", async () => {
  const label = "x".repeat(8000)
  const labels = { a: label, b: label, c: label, d: label, e: label }
  for (const one of many(64, () => ({ labels }))) publisher.changed(undefined, one)
  await waitFor("all", () => standing().length === 64 || undefined)
  expect([failures, problems()]).toEqual([[], []])
})

test("a record that nobody could take is named and left out, the others go", async () => {
  const rows = many(3, (n) => (n === 1 ? { podName: "p".repeat(100_000) } : {}))
  for (const one of rows) publisher.changed(undefined, one)
  await waitFor("the others", () => standing().join() === "0,2" || undefined)
  expect(problems()).toEqual([
    "container c1 is not known to other hosts by 10.42.2.1: Cannot take the endpoint: name is out of shape",
  ])
  publisher.changed(rows[1], undefined)
  expect(problems()).toEqual([])
})

test("a record that the store refuses is named, holds nobody up, and is tried again", async () => {
  const rows = many(20)
  const commit = store.commit.bind(store)
  let isFinicky = true
  store.commit = async (conditions, writes) => {
    if (isFinicky && writes.some(({ key }) => key.endsWith(".7"))) {
      throw new LariatError("Cannot write: etcd refuses it: too large", { code: "io" })
    }
    return await commit(conditions, writes)
  }
  for (const one of rows) publisher.changed(undefined, one)
  await waitFor("the others", () => standing().length === 19 || undefined)
  await waitFor("a problem", () => problems().length > 0 || undefined)
  expect(problems()).toEqual([
    "container c7 is not known to other hosts by 10.42.2.7: Cannot write: etcd refuses it: too large",
  ])
  isFinicky = false
  publisher.retryRefused()
  await waitFor("it too", () => standing().length === 20 || undefined)
  await waitFor("the problem to be over", () => problems().length === 0 || undefined)
})
