import { expect, test } from "bun:test"
import { errorOf } from "../../../../test/cluster/ear.ts"
import {
  FakeDependencies,
  header,
  kv,
  refusal,
} from "../../../../test/cluster/fake_dependencies.ts"
import { MAX_VALUE_BYTES } from "../store.ts"
import { EtcdClient } from "./client.ts"
import { listPrefix } from "./list.ts"

interface Asked {
  readonly key: string
  readonly limit: number
  readonly revision: string
  readonly keysOnly: boolean
}

/** An etcd with that many entries under /n/, at revision 50, which then goes on. */
function clientOf(count: number, before: (asked: Asked, n: number) => Response | undefined) {
  const keys = Array.from({ length: count }, (_, n) => `/n/${String(n).padStart(4, "0")}`)
  const asked: Asked[] = []
  const dependencies = new FakeDependencies(({ body }) => {
    const key = Buffer.from(String(body.key), "base64").toString()
    const keysOnly = body.keys_only === true
    const request = { key, limit: Number(body.limit), revision: String(body.revision), keysOnly }
    asked.push(request)
    const other = before(request, asked.length)
    if (other !== undefined) return other
    const rest = keys.filter((name) => name >= key)
    const kvs = rest.slice(0, request.limit).map((name, n) => kv(name, name, n + 1))
    return Response.json({
      header: header(49 + asked.length),
      kvs,
      more: rest.length > kvs.length,
      count: String(count),
    })
  })
  return { asked, keys, client: new EtcdClient(["http://a:1"], dependencies) }
}

test("pages follow one another at the revision of the first", async () => {
  const { client, asked, keys } = clientOf(25, () => undefined)
  const { entries, header } = await listPrefix(client, "/n/", 10)
  expect(entries.map(({ key }) => key)).toEqual(keys)
  expect(header.revision).toBe(50)
  expect(asked.map(({ keysOnly: _, ...rest }) => rest)).toEqual([
    { key: "/n/", limit: 10, revision: "0" },
    { key: "/n/0009\0", limit: 10, revision: "50" },
    { key: "/n/0019\0", limit: 10, revision: "50" },
  ])
})

test("values that no record of ours has are not kept, and pages of them are small", async () => {
  const huge = "x".repeat(1_000_000)
  const keys = Array.from({ length: 40 }, (_, n) => `/n/${String(n).padStart(4, "0")}`)
  let longest = 0
  const dependencies = new FakeDependencies(({ body }) => {
    const key = Buffer.from(String(body.key), "base64").toString()
    const rest = keys.filter((name) => name >= key)
    const page = rest.slice(0, Number(body.limit))
    const kvs = page.map((name, n) => kv(name, name === "/n/0039" ? "ours" : huge, n + 1))
    const text = JSON.stringify({ header: header(50), kvs, more: rest.length > kvs.length })
    longest = Math.max(longest, text.length)
    return new Response(text)
  })
  const client = new EtcdClient(["http://a:1"], dependencies)
  const { entries } = await listPrefix(client, "/n/", 10)
  expect(entries.map(({ key }) => key)).toEqual(keys)
  expect(entries.at(-1)?.value).toBe("ours")
  expect(new Set(entries.slice(0, -1).map(({ value }) => value)).size).toBe(1)
  expect(entries[0]?.value.length).toBe(MAX_VALUE_BYTES + 1)
  const limits = dependencies.requests.map(({ body }) => Number(body.limit))
  expect(limits.slice(2).every((limit) => limit < 4)).toBe(true)
  expect(longest).toBeLessThan(16 * 1024 * 1024)
  client.close()
})

test("one value that is more than an answer may be is told of by its key, and passed over", async () => {
  const { client, keys } = clientOf(3, ({ key, limit, keysOnly }) =>
    key <= "/n/0001" && (limit > 1 || key !== "/n/") && !keysOnly
      ? new Response("x".repeat(9 * 1024 * 1024))
      : undefined,
  )
  const { entries } = await listPrefix(client, "/n/", 10)
  expect(entries.map(({ key }) => key)).toEqual(keys)
  expect(entries.map(({ value }) => value.length)).toEqual([7, MAX_VALUE_BYTES + 1, 7])
})

test("a page that is too large is asked for in smaller ones", async () => {
  const huge = "x".repeat(9 * 1024 * 1024)
  const { client, asked, keys } = clientOf(25, ({ limit }) =>
    limit > 20 ? new Response(huge) : undefined,
  )
  expect((await listPrefix(client, "/n/", 100)).entries).toHaveLength(keys.length)
  expect(asked.map(({ limit }) => limit)).toEqual([100, 13, 100, 13])
})

const compacted = () => refusal(400, 11, "etcdserver: mvcc: required revision has been compacted")

test("a compaction between two pages begins anew", async () => {
  const { client, asked, keys } = clientOf(25, (_, n) => (n === 2 ? compacted() : undefined))
  const { entries } = await listPrefix(client, "/n/", 10)
  expect(entries.map(({ key }) => key)).toEqual(keys)
  expect(asked.map(({ revision }) => revision)).toEqual(["0", "50", "0", "52", "52"])
})

test("and is given up when it happens each time", async () => {
  const { client } = clientOf(25, ({ revision }) => (revision === "0" ? undefined : compacted()))
  expect(await errorOf(listPrefix(client, "/n/", 10))).toMatchObject({ code: "busy" })
})
