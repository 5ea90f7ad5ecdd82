/** The store's contract over the small etcd, and what of it the contract does not reach. */
import { describe, expect, test } from "bun:test"
import { Ear } from "../../../test/cluster/ear.ts"
import { FakeWorld, settle } from "../../../test/cluster/fake_world.ts"
import { storeContract } from "../../../test/cluster/store_contract.ts"
import { EtcdStore } from "../../cluster/store/etcd/etcd_store.ts"
import { EtcdGateway, MAX_REQUEST_BYTES } from "./gateway.ts"

const after = (ms: number, call: () => void) => {
  const timer = setTimeout(call, ms)
  return () => clearTimeout(timer)
}
const shared = new EtcdGateway({ after })

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
function still(options: { maxEvents?: number } = {}) {
  const world = new FakeWorld(() => undefined)
  const gateway = new EtcdGateway({ after: world.after, ...options })
  world.answer = ({ path, body, signal }) =>
    overNetwork(gateway, `http://small:2379${path}`, {
      ...{ method: "POST", body: JSON.stringify(body), signal },
    })
  const ask = async (path: string, body: object) => {
    const response = await gateway.fetch(
      new Request(`http://small:2379${path}`, { method: "POST", body: JSON.stringify(body) }),
    )
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  return { world, gateway, ask }
}

const put = (key: string, value: string, lease = "0") => ({
  success: [{ request_put: { key: btoa(key), value: btoa(value), lease } }],
})

describe("leases", () => {
  test("a key goes when nobody renews its lease, and not before", async () => {
    const { world, ask } = still()
    const { body } = await ask("/v3/lease/grant", { TTL: "10" })
    expect(body).toMatchObject({ TTL: "10" })
    await ask("/v3/kv/txn", put("alive", "yes", String(body.ID)))
    await world.advance(9000)
    expect((await ask("/v3/lease/keepalive", { ID: body.ID })).body).toMatchObject({
      result: { ID: body.ID, TTL: "10" },
    })
    await world.advance(9999)
    expect((await ask("/v3/kv/range", { key: btoa("alive") })).body.count).toBe("1")
    await world.advance(1)
    expect((await ask("/v3/kv/range", { key: btoa("alive") })).body.count).toBeUndefined()
    expect((await ask("/v3/lease/keepalive", { ID: body.ID })).body).toEqual({
      result: {
        header: { cluster_id: "1", member_id: "1", raft_term: "1", revision: "3" },
        ID: "1",
      },
    })
  })

  test("none is written under a lease that is not there, nor revoked twice", async () => {
    const { ask } = still()
    expect(await ask("/v3/kv/txn", put("a", "1", "77"))).toMatchObject({
      status: 404,
      body: { code: 5, message: "etcdserver: requested lease not found" },
    })
    const { body } = await ask("/v3/lease/grant", { TTL: "1" })
    expect((await ask("/v3/lease/revoke", { ID: body.ID })).status).toBe(200)
    expect((await ask("/v3/lease/revoke", { ID: body.ID })).status).toBe(404)
  })

  test("a presence outlives an etcd that forgot its lease", async () => {
    const { world, ask } = still()
    const store = new EtcdStore("http://small:2379", world)
    store.present("/alive", "here", { ttlMs: 6000 })
    await settle()
    await ask("/v3/lease/revoke", { ID: "1" })
    expect((await store.get("/alive"))?.value).toBeUndefined()
    await world.advance(2000)
    expect((await store.get("/alive"))?.value).toBe("here")
    await store.close()
  })
})

describe("reads", () => {
  test("a page goes on where the one before ended, at its revision", async () => {
    const { ask } = still()
    for (const key of ["k1", "k2", "k3"]) await ask("/v3/kv/txn", put(key, "1"))
    const range = { key: btoa("k"), range_end: btoa("l"), limit: "2" }
    const first = await ask("/v3/kv/range", range)
    expect(first.body).toMatchObject({ more: true, count: "3" })
    await ask("/v3/kv/txn", put("k3", "2"))
    const next = { ...range, key: btoa("k2\0"), revision: "4" }
    expect((await ask("/v3/kv/range", next)).body).toMatchObject({
      kvs: [{ key: btoa("k3"), value: btoa("1"), create_revision: "4", mod_revision: "4" }],
      count: "1",
    })
  })

  test("what changed since, and keys alone", async () => {
    const { ask } = still()
    await ask("/v3/kv/txn", put("a", "1"))
    await ask("/v3/kv/txn", put("b", "1"))
    const all = { key: btoa("\0"), range_end: btoa("\0") }
    const { body } = await ask("/v3/kv/range", { ...all, min_mod_revision: "3", keys_only: true })
    expect(body.kvs).toEqual([
      { key: btoa("b"), create_revision: "3", version: "1", mod_revision: "3" },
    ])
    expect(body.count).toBe("2")
  })

  test("a forgotten revision and one that is to come are out of range", async () => {
    const { ask } = still({ maxEvents: 10 })
    for (let n = 0; n < 20; n++) await ask("/v3/kv/txn", put("a", `${n}`))
    const at = (revision: string) => ask("/v3/kv/range", { key: btoa("a"), revision })
    expect((await at("2")).body).toMatchObject({
      code: 11,
      message: expect.stringContaining("compacted"),
    })
    expect((await at("900")).body).toMatchObject({
      code: 11,
      message: expect.stringContaining("future"),
    })
    expect((await at("21")).body).toMatchObject({ count: "1" })
  })
})

describe("watches", () => {
  test("one that comes back hears what it missed", async () => {
    const { world, ask } = still()
    const store = new EtcdStore("http://small:2379", world)
    const ear = new Ear()
    store.watch("/w/", ear)
    await settle()
    await ask("/v3/kv/txn", put("/w/a", "1"))
    await settle()
    const answer = world.answer
    world.answer = () => {
      throw new Error("ECONNREFUSED")
    }
    // Silence makes it suspicious: it asks, nobody answers, it is to be opened anew.
    await world.advance(30_000)
    await ask("/v3/kv/txn", put("/w/a", "2"))
    await ask("/v3/kv/txn", { success: [{ request_delete_range: { key: btoa("/w/a") } }] })
    await ask("/v3/kv/txn", put("/w/b", "1"))
    world.answer = answer
    await world.advance(30_000)
    expect(ear.heard.map(({ key, value }) => [key, value])).toEqual([
      ["/w/a", "1"],
      ["/w/a", "2"],
      ["/w/a", undefined],
      ["/w/b", "1"],
    ])
    expect(ear.listings).toHaveLength(1)
    await store.close()
  })

  test("one that goes too far back is told from where it may", async () => {
    const { gateway, ask } = still({ maxEvents: 10 })
    for (let n = 0; n < 20; n++) await ask("/v3/kv/txn", put("a", `${n}`))
    const body = JSON.stringify({ create_request: { key: btoa("a"), start_revision: "2" } })
    const response = await gateway.fetch(
      new Request("http://small/v3/watch", { method: "POST", body }),
    )
    const lines = (await response.text()).trimEnd().split("\n")
    expect(lines.map((line) => JSON.parse(line).result)).toMatchObject([
      { created: true },
      { canceled: true, compact_revision: "12" },
    ])
  })

  test("it says that it is alive; closed, it ends", async () => {
    const { world, gateway } = still()
    const create_request = { key: btoa("a"), progress_notify: true }
    const body = JSON.stringify({ create_request })
    const response = await gateway.fetch(
      new Request("http://small/v3/watch", { method: "POST", body }),
    )
    await world.advance(10_000)
    gateway.close()
    expect((await response.text()).trimEnd().split("\n")).toHaveLength(3)
    expect(world.timers).toBe(0)
  })

  test("a client that does not read is left", async () => {
    const { gateway, ask } = still()
    const body = JSON.stringify({ create_request: { key: btoa("a") } })
    const response = await gateway.fetch(
      new Request("http://small/v3/watch", { method: "POST", body }),
    )
    for (let n = 0; n < 1100; n++) await ask("/v3/kv/txn", put("a", `${n}`))
    expect((await response.text()).trimEnd().split("\n").length).toBeLessThanOrEqual(1001)
  })
})

describe("requests that are none", () => {
  test.each([
    ["/v3/kv/range", {}, 400],
    ["/v3/kv/range", { key: "?" }, 400],
    ["/v3/kv/range", { key: btoa("a"), limit: -1 }, 400],
    ["/v3/kv/txn", { compare: [{ key: btoa("a"), target: "MOD", result: "LESS" }] }, 400],
    ["/v3/kv/txn", { compare: [{ key: btoa("a"), target: "VERSION", result: "EQUAL" }] }, 400],
    ["/v3/kv/txn", { success: [...put("a", "1").success, ...put("a", "2").success] }, 400],
    ["/v3/kv/txn", { success: Array(129).fill({}) }, 400],
    ["/v3/watch", {}, 400],
    ["/v3/kv/delete", { key: btoa("a") }, 501],
    ["/v3/constructor", {}, 501],
  ])("%s %j", async (path, body, status) => {
    const { ask } = still()
    const answer = await ask(path, body)
    expect(answer.status).toBe(status)
    expect(answer.body).toMatchObject({ error: answer.body.message, code: expect.any(Number) })
    expect((await ask("/v3/maintenance/status", {})).body.header).toMatchObject({ revision: "1" })
  })

  test("no JSON, and too much of it", async () => {
    const { gateway } = still()
    for (const body of ["{", "[]", "x".repeat(MAX_REQUEST_BYTES + 1)]) {
      const request = new Request("http://small/v3/kv/range", { method: "POST", body })
      expect((await gateway.fetch(request)).status).toBe(400)
    }
  })
})
