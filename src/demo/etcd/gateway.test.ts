/** The store's contract over the small etcd, and what of it the contract does not reach. */
import { expect, test } from "bun:test"
import { Ear } from "../../../test/cluster/ear.ts"
import { FakeDependencies, settle } from "../../../test/cluster/fake_dependencies.ts"
import { storeContract } from "../../../test/cluster/store_contract.ts"
import { EtcdStore } from "../../cluster/store/etcd/etcd_store.ts"
import { after } from "../../sys/timer.ts"
import { EtcdGateway } from "./gateway.ts"

const shared = new EtcdGateway(after)

/** As over a network: who hangs up ends the stream of the answer. */
async function overNetwork(gateway: EtcdGateway, url: string, init: RequestInit) {
  const response = await gateway.fetch(new Request(url, init))
  const { signal } = init
  if (!signal || response.body === null) return response
  return new Response(response.body.pipeThrough(new TransformStream(), { signal }), response)
}

storeContract("etcd's store over the small etcd", async () => {
  const fetch = (url: string, init: RequestInit) => overNetwork(shared, url, init)
  const now = () => performance.now()
  return new EtcdStore("http://small:2379", { fetch, now, after, random: Math.random })
})

/** A small etcd whose time stands still until told. */
function still() {
  const dependencies = new FakeDependencies(() => undefined)
  const gateway = new EtcdGateway(dependencies.after)
  dependencies.answer = ({ path, body, signal }) =>
    overNetwork(gateway, `http://small:2379${path}`, {
      ...{ method: "POST", body: JSON.stringify(body), signal },
    })
  const ask = async (path: string, body: object) => {
    const response = await gateway.fetch(
      new Request(`http://small:2379${path}`, { method: "POST", body: JSON.stringify(body) }),
    )
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  return { dependencies, gateway, ask }
}

const put = (key: string, value: string, lease = "0") => ({
  success: [{ request_put: { key: btoa(key), value: btoa(value), lease } }],
})

test("a key goes when nobody renews its lease, and not before", async () => {
  const { dependencies, ask } = still()
  const { body } = await ask("/v3/lease/grant", { TTL: "10" })
  expect(body).toMatchObject({ TTL: "10" })
  await ask("/v3/kv/txn", put("alive", "yes", String(body.ID)))
  await dependencies.advance(9000)
  expect((await ask("/v3/lease/keepalive", { ID: body.ID })).body).toMatchObject({
    result: { ID: body.ID, TTL: "10" },
  })
  await dependencies.advance(9999)
  expect((await ask("/v3/kv/range", { key: btoa("alive") })).body.kvs).toHaveLength(1)
  await dependencies.advance(1)
  expect((await ask("/v3/kv/range", { key: btoa("alive") })).body.kvs).toEqual([])
  expect((await ask("/v3/lease/keepalive", { ID: body.ID })).body.result).toEqual({ ID: "1" })
  expect((await ask("/v3/kv/txn", put("alive", "yes", "1"))).status).toBe(400)
})

test("a presence outlives an etcd that forgot its lease", async () => {
  const { dependencies, ask } = still()
  const store = new EtcdStore("http://small:2379", dependencies)
  store.present("/alive", "here", { ttlMs: 6000 })
  await settle()
  await ask("/v3/lease/revoke", { ID: "1" })
  expect((await store.get("/alive"))?.value).toBeUndefined()
  await dependencies.advance(2000)
  expect((await store.get("/alive"))?.value).toBe("here")
  await store.close()
})

test("a watch that comes back hears what it missed", async () => {
  const { dependencies, ask } = still()
  const store = new EtcdStore("http://small:2379", dependencies)
  const ear = new Ear()
  store.watch("/w/", ear)
  await settle()
  await ask("/v3/kv/txn", put("/w/a", "1"))
  await settle()
  const answer = dependencies.answer
  dependencies.answer = () => {
    throw new Error("ECONNREFUSED")
  }
  // Silence makes it suspicious: it asks, nobody answers, it is to be opened anew.
  await dependencies.advance(30_000)
  await ask("/v3/kv/txn", put("/w/a", "2"))
  await ask("/v3/kv/txn", { success: [{ request_delete_range: { key: btoa("/w/a") } }] })
  await ask("/v3/kv/txn", put("/w/b", "1"))
  dependencies.answer = answer
  await dependencies.advance(30_000)
  expect(ear.heard.map(({ key, value }) => [key, value])).toEqual([
    ["/w/a", "1"],
    ["/w/a", "2"],
    ["/w/a", undefined],
    ["/w/b", "1"],
  ])
  expect(ear.listings).toHaveLength(1)
  await store.close()
})

test("closed, it ends watches and lets nothing expire", async () => {
  const { dependencies, gateway, ask } = still()
  await ask("/v3/lease/grant", { TTL: "10" })
  const body = JSON.stringify({ create_request: { key: btoa("a") } })
  const response = await gateway.fetch(
    new Request("http://small/v3/watch", { method: "POST", body }),
  )
  gateway.close()
  expect((await response.text()).trimEnd().split("\n")).toHaveLength(1)
  expect(dependencies.timers).toBe(0)
})

test.each([
  ["/v3/kv/range", { key: "?" }],
  ["/v3/watch", {}],
  ["/v3/kv/delete", { key: btoa("a") }],
  ["/v3/constructor", {}],
])("a request that is none: %s %j", async (path, body) => {
  const { ask } = still()
  expect(await ask(path, body)).toMatchObject({ status: 400, body: { code: 3 } })
})
