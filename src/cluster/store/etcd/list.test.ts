import { expect, test } from "bun:test"
import { errorOf } from "../../../../test/cluster/ear.ts"
import {
  FakeDependencies,
  header,
  kv,
  refusal,
} from "../../../../test/cluster/fake_dependencies.ts"
import { EtcdClient } from "./client.ts"
import { listPrefix } from "./list.ts"

interface Asked {
  readonly key: string
  readonly limit: number
  readonly revision: string
}

/** An etcd with that many entries under /n/, at revision 50, which then goes on. */
function clientOf(count: number, before: (asked: Asked, n: number) => Response | undefined) {
  const keys = Array.from({ length: count }, (_, n) => `/n/${String(n).padStart(4, "0")}`)
  const asked: Asked[] = []
  const dependencies = new FakeDependencies(({ body }) => {
    const key = Buffer.from(String(body.key), "base64").toString()
    const request = { key, limit: Number(body.limit), revision: String(body.revision) }
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
  expect(asked).toEqual([
    { key: "/n/", limit: 10, revision: "0" },
    { key: "/n/0009\0", limit: 10, revision: "50" },
    { key: "/n/0019\0", limit: 10, revision: "50" },
  ])
})

test("a page that is too large is asked for in smaller ones", async () => {
  const huge = "x".repeat(33 * 1024 * 1024)
  const { client, asked, keys } = clientOf(25, ({ limit }) =>
    limit > 20 ? new Response(huge) : undefined,
  )
  expect((await listPrefix(client, "/n/", 100)).entries).toHaveLength(keys.length)
  expect(asked.map(({ limit }) => limit)).toEqual([100, 13, 13])
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
