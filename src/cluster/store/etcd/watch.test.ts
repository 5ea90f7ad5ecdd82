import { afterEach, expect, test } from "bun:test"
import fc from "fast-check"
import { Ear } from "../../../../test/cluster/ear.ts"
import {
  type FakeAnswer,
  FakeDependencies,
  FakeStream,
  header,
  kv,
  refusal,
  refuse,
  settle,
} from "../../../../test/cluster/fake_dependencies.ts"
import { EtcdClient } from "./client.ts"
import { EtcdWatch, type EtcdWatchOptions } from "./watch.ts"

const created = { header: header(5), created: true }
const cleanUp: (() => void)[] = []
afterEach(() => {
  for (const end of cleanUp.splice(0)) end()
})

/** A watch on /a/ where `/a/x` = "1" is at revision 5 to begin with. */
function watching(options: EtcdWatchOptions = {}) {
  const streams: FakeStream[] = []
  const asked: Record<string, unknown>[] = []
  const errors: unknown[] = []
  const etcd = { entries: [kv("/a/x", "1", 5)], revision: 5 }
  const dependencies = new FakeDependencies(({ path, body }) => {
    if (path === "/v3/watch") {
      asked.push(body.create_request as Record<string, unknown>)
      const stream = new FakeStream().result(created)
      streams.push(stream)
      return stream.response
    }
    if (path === "/v3/kv/range") {
      return Response.json({
        header: header(etcd.revision),
        kvs: etcd.entries,
        count: String(etcd.entries.length),
      })
    }
    return Response.json({ header: header(etcd.revision) })
  })
  const client = new EtcdClient(["http://a:1", "http://b:1"], dependencies)
  const ear = new Ear()
  const watch = new EtcdWatch(client, dependencies, "/a/", ear, {
    ...options,
    onError: (error) => errors.push(error),
  })
  cleanUp.push(() => client.close())
  return { dependencies, client, ear, watch, streams, asked, errors, etcd }
}

const put = (value: string, revision: number) => ({
  header: header(revision),
  events: [{ kv: kv("/a/x", value, revision, 5) }],
})

test("it lists, tells, and goes on right behind the listing", async () => {
  const { ear, asked } = watching()
  await settle()
  expect(ear.listings).toEqual([
    { entries: [{ key: "/a/x", value: "1", revision: 5 }], revision: 5 },
  ])
  expect(asked).toEqual([
    expect.objectContaining({ start_revision: "6", progress_notify: true, fragment: true }),
  ])
})

test("after a break it goes on behind the last change, told once", async () => {
  const { dependencies, ear, streams, asked, etcd } = watching()
  await settle()
  streams[0]?.result(put("2", 7))
  await settle()
  etcd.entries = [kv("/a/x", "2", 7, 5)]
  etcd.revision = 9
  streams[0]?.break()
  await dependencies.advance(200)
  expect(asked[1]).toMatchObject({ start_revision: "8" })
  // A member that repeats itself.
  streams[1]?.result(put("2", 7)).result(put("3", 8))
  await settle()
  expect(ear.heard.map(({ value }) => value)).toEqual(["2", "3"])
  expect(ear.revisions).toEqual([7, 8])
  expect(ear.listings).toHaveLength(1)
})

test("parts of an answer are told as one", async () => {
  const { ear, streams } = watching()
  await settle()
  streams[0]?.result({ ...put("2", 6), fragment: true })
  await settle()
  expect(ear.heard).toEqual([])
  streams[0]?.result(put("3", 7))
  await settle()
  expect(ear.heard.map(({ value }) => value)).toEqual(["2", "3"])
})

test("a break between two parts tells none of them twice", async () => {
  const { dependencies, ear, streams, asked } = watching()
  await settle()
  streams[0]?.result({ ...put("2", 6), fragment: true })
  await settle()
  streams[0]?.break()
  await dependencies.advance(200)
  expect(asked[1]).toMatchObject({ start_revision: "6" })
  streams[1]?.result(put("2", 6))
  await settle()
  expect(ear.heard.map(({ value }) => value)).toEqual(["2"])
})

test("a lower revision means another history: everything is told anew", async () => {
  const { dependencies, ear, streams, etcd } = watching()
  await settle()
  etcd.entries = [kv("/a/y", "old", 3)]
  etcd.revision = 3
  streams[0]?.break()
  await dependencies.advance(200)
  expect(ear.listings.map(({ revision }) => revision)).toEqual([5, 3])
  expect([...ear.state]).toEqual([["/a/y", "old"]])
})

test("so does another cluster, or an earlier term", async () => {
  for (const other of [header(9, 2, "8"), header(9, 1)]) {
    const { dependencies, ear, streams } = watching()
    await settle()
    const before = dependencies.answer
    dependencies.answer = (request) =>
      request.path === "/v3/kv/range"
        ? Response.json({ header: other, kvs: [kv("/a/x", "1", 5)], count: "1" })
        : before(request)
    streams[0]?.break()
    await dependencies.advance(200)
    expect(ear.listings).toHaveLength(2)
  }
})

test("a member that is silent is asked, and left when it says nothing then either", async () => {
  const { dependencies, streams, asked } = watching({ suspectMs: 5000 })
  await settle()
  await dependencies.advance(2000)
  streams[0]?.result({ header: header(6) })
  await dependencies.advance(4999)
  expect(dependencies.paths).not.toContain("/v3/maintenance/status")
  const before = dependencies.answer
  dependencies.answer = (request) =>
    request.endpoint === "http://a:1" ? undefined : before(request)
  await dependencies.advance(2000)
  expect(asked).toHaveLength(2)
  expect(
    dependencies.requests
      .filter(({ path }) => path === "/v3/watch")
      .map(({ endpoint }) => endpoint),
  ).toEqual(["http://a:1", "http://b:1"])
})

test("once the host has another address, the watch is opened anew at once", async () => {
  const { dependencies, client, ear, streams, asked } = watching({ suspectMs: 5000 })
  await settle()
  client.reconnect()
  await dependencies.advance(200)
  expect(asked).toHaveLength(2)
  streams[1]?.result(put("2", 6))
  await settle()
  expect(ear.heard.map(({ value }) => value)).toEqual(["2"])
  expect(ear.listings).toHaveLength(1)
})

test("a member that has nothing new is believed, for as long as it says so", async () => {
  const { dependencies, asked } = watching({ suspectMs: 5000 })
  await settle()
  await dependencies.advance(59_000)
  expect(asked).toHaveLength(1)
  expect(dependencies.paths.filter((path) => path === "/v3/maintenance/status")).toHaveLength(11)
})

test("a connection that died while its member is well is noticed by the revision", async () => {
  const { dependencies, ear, streams, asked, etcd } = watching({ suspectMs: 5000 })
  await settle()
  await dependencies.advance(20_000)
  etcd.entries.push(kv("/a/y", "2", 6))
  etcd.revision = 6
  // Told on a stream that nobody hears: the first question finds it, the second that it is overdue.
  await dependencies.advance(10_000)
  expect(asked).toHaveLength(2)
  expect(asked[1]).toMatchObject({ start_revision: "6" })
  streams[1]?.result({ header: header(6), events: [{ kv: kv("/a/y", "2", 6) }] })
  await settle()
  expect(ear.state.get("/a/y")).toBe("2")
  expect(ear.listings).toHaveLength(1)
})

test("what a member has and nobody heard of is looked for later each time it is of other keys", async () => {
  const { dependencies, asked, etcd } = watching({ suspectMs: 5000 })
  await settle()
  etcd.revision = 99
  const opened: number[] = []
  for (let second = 1; second <= 200; second++) {
    const before = asked.length
    await dependencies.advance(1000)
    if (asked.length > before) opened.push(second)
  }
  // Twice the silence, doubled up to a minute, and up to half of it earlier.
  expect(opened).toEqual([10, 20, 40, 70, 100, 130, 160, 190])
})

test("a deletion is known by what was there before it; another history is listed", async () => {
  const there = [kv("/a/x", "1", 5)]
  const cases: { at: Record<string, object[]>; listings: number }[] = [
    { at: { "6": [], "5": there }, listings: 1 },
    { at: { "6": [], "5": [] }, listings: 2 },
    { at: { "6": there, "5": there }, listings: 2 },
  ]
  for (const { at, listings } of cases) {
    const { dependencies, ear, streams } = watching()
    await settle()
    const { key } = kv("/a/x", "", 6)
    const gone = { type: "DELETE", kv: { key, mod_revision: "6" } }
    streams[0]?.result({ header: header(6), events: [gone] })
    await settle()
    const before = dependencies.answer
    dependencies.answer = (request) => {
      const kvs = at[String(request.body.revision)]
      return kvs === undefined ? before(request) : Response.json({ header: header(9), kvs })
    }
    streams[0]?.break()
    await dependencies.advance(200)
    expect(ear.listings).toHaveLength(listings)
  }
})

test("what is far behind is listed, and not read change by change", async () => {
  const { dependencies, ear, streams, etcd } = watching()
  await settle()
  etcd.revision = 50_000
  streams[0]?.break()
  await dependencies.advance(200)
  expect(ear.listings.map(({ revision }) => revision)).toEqual([5, 50_000])
})

test("a member that always says compacted is not asked in a loop without end", async () => {
  const { dependencies, streams, asked } = watching()
  const before = dependencies.answer
  dependencies.answer = (request) => {
    const answer = before(request)
    if (request.path === "/v3/watch") {
      streams.at(-1)?.result({ header: header(5), canceled: true, compact_revision: "99" })
    }
    return answer
  }
  await dependencies.advance(20_000)
  expect(asked.length).toBeLessThan(40)
})

test("a refused watch is asked for again, ever more rarely, and says why", async () => {
  const { dependencies, errors, streams, asked } = watching()
  await settle()
  for (let n = 0; n < 6; n++) {
    streams.at(-1)?.result({
      header: header(5),
      canceled: true,
      cancel_reason: "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    })
    await dependencies.advance(11_000)
  }
  expect(errors[0]).toMatchObject({ code: "permission" })
  expect(String(errors[0])).toContain("/a/")
  expect(asked.length).toBeLessThan(9)
})

test("etcd that is away for long is tried for ever, and its coming back noticed", async () => {
  const { dependencies, ear, streams, asked, etcd } = watching()
  await settle()
  const before = dependencies.answer
  dependencies.answer = () => refuse()
  streams[0]?.break()
  await dependencies.advance(600_000)
  dependencies.answer = before
  etcd.entries.push(kv("/a/y", "2", 6))
  etcd.revision = 6
  await dependencies.advance(3000)
  expect(asked).toHaveLength(2)
  expect(asked[1]).toMatchObject({ start_revision: "6" })
  expect(ear.listings).toHaveLength(1)
})

test("a closed watch says nothing, asks nothing and leaves nothing", async () => {
  const { dependencies, ear, watch, streams } = watching()
  await settle()
  watch.close()
  const asked = dependencies.requests.length
  streams[0]?.result(put("2", 6))
  await dependencies.advance(100_000)
  expect(ear.heard).toEqual([])
  expect(dependencies.requests).toHaveLength(asked)
  expect(dependencies.timers).toBe(0)
  expect(dependencies.requests.at(-1)?.signal.aborted).toBe(true)
})

test("one that is closed while it lists tells nothing", async () => {
  const { dependencies, ear, watch } = watching()
  watch.close()
  await dependencies.advance(1000)
  expect(ear.listings).toEqual([])
})

test("no broken stream stops the watch: it says why, and goes on right behind what it told", async () => {
  const line = (value: object) => `${JSON.stringify({ result: value })}\n`
  const good = [line(put("2", 6)), line(put("3", 7)), line({ header: header(7) })]
  const garbage = fc.oneof(
    fc.string(),
    fc.json(),
    fc.jsonValue().map((value) => JSON.stringify({ result: value })),
    fc
      .record({ header: fc.jsonValue(), events: fc.jsonValue(), canceled: fc.jsonValue() })
      .map((value) => JSON.stringify({ result: value })),
    fc.constantFrom('{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}', "null", "[]"),
    // Something that was right, cut short or with a byte changed.
    fc.tuple(fc.nat(200), fc.nat(255)).map(([at, code]) => {
      const text = line(put("9", 9))
      return text.slice(0, at % text.length) + String.fromCharCode(code)
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(garbage, { maxLength: 4 }), fc.boolean(), async (bad, ended) => {
      const { dependencies, client, ear, streams, etcd } = watching()
      await settle()
      for (const text of good) streams[0]?.text(text)
      await settle()
      expect(ear.heard.map(({ value }) => value)).toEqual(["2", "3"])
      etcd.entries = [kv("/a/x", "3", 7, 5)]
      etcd.revision = 7
      for (const text of bad) streams[0]?.text(`${text}\n`)
      if (ended) streams[0]?.end()
      else streams[0]?.break()
      await dependencies.advance(20_000)
      expect(streams.length).toBeGreaterThan(1)
      streams.at(-1)?.result({ ...put("4", 99) })
      await settle()
      expect(ear.heard.at(-1)?.value ?? ear.state.get("/a/x")).toBe("4")
      client.close()
    }),
    { numRuns: 60 },
  )
})

test("a line without end is not kept", async () => {
  const { dependencies, errors, streams, asked } = watching()
  await settle()
  const chunk = new Uint8Array(1024 * 1024).fill(0x20)
  for (let n = 0; n < 10; n++) streams[0]?.bytes(chunk)
  await dependencies.advance(200)
  expect(String(errors[0])).toContain("more than 8388608 characters")
  expect(asked).toHaveLength(2)
})

test("errors of the listener, and of who hears of them, do not stop it", async () => {
  const { dependencies, client, streams } = watching()
  const values: string[] = []
  const watch = new EtcdWatch(
    client,
    dependencies,
    "/a/",
    {
      snapshot: () => {
        throw new Error("bad listener")
      },
      changes: (changes) => {
        values.push(...changes.map(({ value }) => value ?? ""))
        throw new Error("bad listener")
      },
    },
    {
      onError: () => {
        throw new Error("bad hearer")
      },
    },
  )
  await settle()
  streams[1]?.result(put("2", 6))
  await settle()
  streams[1]?.result(put("3", 7))
  await settle()
  watch.close()
  expect(values).toEqual(["2", "3"])
})

test("a token that the watch was refused for is renewed", async () => {
  const user = { name: "u", password: "p" }
  let logins = 0
  const streams: FakeStream[] = []
  const answer: FakeAnswer = ({ path }) => {
    if (path === "/v3/auth/authenticate") return Response.json({ token: `t${++logins}` })
    if (path === "/v3/kv/range") return Response.json({ header: header(5) })
    if (path !== "/v3/watch") return refusal(501, 12, "unknown")
    streams.push(new FakeStream())
    return streams.at(-1)?.response ?? refuse()
  }
  const dependencies = new FakeDependencies(answer)
  const client = new EtcdClient(["http://a:1"], dependencies, { user })
  cleanUp.push(() => client.close())
  new EtcdWatch(client, dependencies, "/a/", new Ear())
  await settle()
  const reason = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"
  streams[0]?.result({ header: header(5), canceled: true, cancel_reason: reason })
  await dependencies.advance(2000)
  expect(logins).toBe(2)
  expect(streams).toHaveLength(2)
})
