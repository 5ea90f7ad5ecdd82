import { afterEach, expect, test } from "bun:test"
import {
  FakeDependencies,
  header,
  refuse,
  settle,
} from "../../../../test/cluster/fake_dependencies.ts"
import { EtcdClient } from "./client.ts"
import { EtcdLease } from "./lease.ts"

const cleanUp: (() => void)[] = []
afterEach(() => {
  for (const end of cleanUp.splice(0)) end()
})

const utf8 = (base64: unknown) => Buffer.from(String(base64), "base64").toString()

interface FakeLeases {
  away: boolean
  readonly leases: Set<string>
  next: number
  key: { value: string; lease: string } | undefined
  readonly writes: string[]
  readonly renewedMs: number[]
  /** The key, whatever the compiler believes to know of it. */
  current(): FakeLeases["key"]
}

/** An etcd with one key, and a lease on it of 9 s. */
function leased() {
  const etcd: FakeLeases = {
    away: false,
    leases: new Set<string>(),
    next: 100,
    key: undefined,
    writes: [],
    renewedMs: [],
    current: () => etcd.key,
  }
  const dependencies: FakeDependencies = new FakeDependencies(({ path, body }) => {
    if (etcd.away) return refuse()
    if (path === "/v3/lease/grant") {
      const ID = String(etcd.next++)
      etcd.leases.add(ID)
      return Response.json({ header: header(2), ID, TTL: body.TTL })
    }
    if (path === "/v3/lease/keepalive") {
      etcd.renewedMs.push(dependencies.now())
      const ID = String(body.ID)
      const TTL = etcd.leases.has(ID) ? "9" : undefined
      return Response.json({ result: { header: header(2), ID, TTL } })
    }
    if (path === "/v3/lease/revoke") {
      etcd.leases.delete(String(body.ID))
      if (etcd.key?.lease === body.ID) etcd.key = undefined
      return Response.json({ header: header(3) })
    }
    const { compare, failure } = body as {
      compare: [{ lease: string }, { value: string }]
      failure: [{ request_put: { value: string; lease: string } }]
    }
    const same = etcd.key?.lease === compare[0].lease && etcd.key?.value === utf8(compare[1].value)
    if (!same) {
      const { value, lease } = failure[0].request_put
      etcd.key = { value: utf8(value), lease }
      etcd.writes.push(utf8(value))
    }
    return Response.json({ header: header(3), succeeded: same })
  })
  const client = new EtcdClient(["http://a:1"], dependencies)
  const errors: unknown[] = []
  const lease = new EtcdLease(client, dependencies, "/alive/me", "here", {
    ttlMs: 9000,
    onError: (error) => errors.push(error),
  })
  cleanUp.push(() => client.close())
  return { etcd, dependencies, client, lease, errors }
}

test("the key hangs on the lease, which is renewed three times within its time", async () => {
  const { etcd, dependencies } = leased()
  await dependencies.advance(9000)
  expect(etcd.current()).toEqual({ value: "here", lease: "100" })
  expect(etcd.renewedMs).toEqual([4000, 7000, 10_000])
  expect(etcd.writes).toEqual(["here"])
})

test("a lost lease is granted again, with the key", async () => {
  const { etcd, dependencies } = leased()
  await settle()
  etcd.leases.clear()
  etcd.key = undefined
  await dependencies.advance(3000)
  expect(etcd.current()).toEqual({ value: "here", lease: "101" })
})

test("a key taken away or written over is put back by the next renewal", async () => {
  const { etcd, dependencies } = leased()
  await settle()
  etcd.key = undefined
  await dependencies.advance(3000)
  expect(etcd.current()).toEqual({ value: "here", lease: "100" })
  etcd.key = { value: "theirs", lease: "0" }
  await dependencies.advance(3000)
  expect(etcd.current()).toEqual({ value: "here", lease: "100" })
})

test("etcd that is away for long is tried for ever; the key is back soon after it is", async () => {
  const { etcd, dependencies, errors } = leased()
  await settle()
  etcd.away = true
  await dependencies.advance(3_600_000)
  etcd.away = false
  etcd.leases.clear()
  etcd.key = undefined
  await dependencies.advance(5000)
  expect(etcd.current()).toEqual({ value: "here", lease: "101" })
  expect(errors[0]).toMatchObject({ code: "store-away" })
  expect(String(errors[0])).toContain("/alive/me")
})

test("closing gives the lease back and leaves nothing", async () => {
  const { etcd, dependencies, lease } = leased()
  await settle()
  lease.close()
  await lease.ended
  expect(etcd.current()).toBeUndefined()
  expect(etcd.leases.size).toBe(0)
  await dependencies.advance(20_000)
  expect(dependencies.timers).toBe(0)
})

test("closing while etcd is away ends soon", async () => {
  const { etcd, dependencies, lease } = leased()
  await settle()
  etcd.away = true
  lease.close()
  await dependencies.advance(1000)
  await lease.ended
  expect(etcd.leases.size).toBe(1)
})
