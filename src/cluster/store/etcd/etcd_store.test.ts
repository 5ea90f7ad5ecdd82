import { afterEach, expect, test } from "bun:test"
import { errorOf } from "../../../../test/cluster/ear.ts"
import {
  type FakeAnswer,
  FakeDependencies,
  header,
  refusal,
  refuse,
} from "../../../../test/cluster/fake_dependencies.ts"
import { EtcdStore } from "./etcd_store.ts"

// What it does in full: test/cluster/etcd_contract.test.ts, against a real etcd.

let store: EtcdStore | undefined
afterEach(() => store?.close())

function storeOf(answer: FakeAnswer) {
  const dependencies = new FakeDependencies(answer)
  store = new EtcdStore("http://a:1,http://b:1", dependencies)
  return { dependencies, store }
}

const create = (of: EtcdStore) =>
  of.commit([{ key: "/k", revision: 0 }], [{ key: "/k", value: "v" }])
const txn = (succeeded: boolean) => Response.json({ header: header(9), succeeded })

test("a commit that failed for sure says so", async () => {
  const { store } = storeOf(({ path, endpoint }) =>
    path !== "/v3/kv/txn" ? Response.json({}) : endpoint === "http://a:1" ? refuse() : txn(false),
  )
  expect(await create(store)).toEqual({ committed: false, revision: 9 })
})

test("one that may have been carried out by a member that did not answer does not", async () => {
  const silent: FakeAnswer = ({ path, endpoint }) =>
    path !== "/v3/kv/txn" ? Response.json({}) : endpoint === "http://a:1" ? undefined : txn(false)
  const { dependencies, store } = storeOf(silent)
  const failed = errorOf(create(store))
  await dependencies.advance(1000)
  expect(await failed).toMatchObject({ code: "store-away" })
  expect((await failed).message).toContain("unknown whether it was written")
})

test("one that the next member carried out did succeed", async () => {
  const { dependencies, store } = storeOf(({ path, endpoint }) =>
    path !== "/v3/kv/txn" ? Response.json({}) : endpoint === "http://a:1" ? undefined : txn(true),
  )
  const commit = create(store)
  await dependencies.advance(1000)
  expect(await commit).toEqual({ committed: true, revision: 9 })
})

test("what etcd refuses is an error with its words", async () => {
  const { store } = storeOf(({ path }) =>
    path === "/v3/kv/txn" ? refusal(400, 3, "etcdserver: request is too large") : Response.json({}),
  )
  const error = await errorOf(create(store))
  expect(error.code).toBe("io")
  expect(error.message).toBe("Cannot write /k: etcd refuses it: etcdserver: request is too large")
})

test("nobody has to ask for the health to be known, and to change", async () => {
  let away = true
  const { dependencies, store } = storeOf(() =>
    away ? refuse() : Response.json({ header: header(1) }),
  )
  const told: boolean[] = []
  store.onHealth(({ reachable }) => told.push(reachable))
  await dependencies.advance(10_000)
  expect(store.health()).toMatchObject({ reachable: false })
  expect(store.health().reason).toContain("connection refused")
  away = false
  await dependencies.advance(5000)
  expect(store.health().reachable).toBe(true)
  away = true
  await dependencies.advance(15_000)
  expect(told).toEqual([true, false])
})

test("a closed store has no timers and asks nothing", async () => {
  const { dependencies, store } = storeOf(() => Response.json({ header: header(1) }))
  store.watch("/a/", { snapshot: () => undefined, changes: () => undefined })
  await dependencies.advance(1000)
  const closing = store.close()
  await dependencies.advance(3000)
  await closing
  const asked = dependencies.requests.length
  await dependencies.advance(100_000)
  expect(dependencies.timers).toBe(0)
  expect(dependencies.requests).toHaveLength(asked)
})

test("one that stays has no timers either, and gives nothing back", async () => {
  const { dependencies, store } = storeOf(({ path }) =>
    path === "/v3/lease/grant"
      ? Response.json({ header: header(2), ID: "7", TTL: "9" })
      : txn(true),
  )
  store.present("/alive/me", "here", { ttlMs: 9000 })
  await dependencies.advance(1000)
  await store.close({ stay: true })
  await dependencies.advance(0)
  expect(dependencies.timers).toBe(0)
  expect(dependencies.paths).not.toContain("/v3/lease/revoke")
})

test("a wrong list of members is refused at once", () => {
  const dependencies = new FakeDependencies(refuse)
  expect(() => new EtcdStore("10.0.0.1:2379", dependencies)).toThrow("Cannot use the store")
})
