import { afterEach, expect, test } from "bun:test"
import * as z from "zod/mini"
import { errorOf } from "../../../../test/cluster/ear.ts"
import {
  type FakeAnswer,
  FakeDependencies,
  refusal,
  refuse,
  settle,
} from "../../../../test/cluster/fake_dependencies.ts"
import { EtcdClient, type EtcdClientOptions } from "./client.ts"
import { reader } from "./messages.ts"

const URLS = ["http://a:1", "http://b:1", "http://c:1"]
let client: EtcdClient | undefined
afterEach(() => client?.close())

function clientOf(answer: FakeAnswer, options: EtcdClientOptions = {}, urls = URLS) {
  const dependencies = new FakeDependencies(answer)
  client = new EtcdClient(urls, dependencies, options)
  return { dependencies, client }
}

const same = reader(z.looseObject({}))
const call = (of: EtcdClient) => of.call("/v3/kv/range", {}, "read x", same)
const good = () => Response.json({ header: {} })

test("the member that answers is asked again; when it is gone the next one takes its place", async () => {
  let gone = ""
  const { dependencies, client } = clientOf(({ endpoint }) =>
    endpoint === gone ? refuse() : good(),
  )
  await call(client)
  await call(client)
  gone = "http://a:1"
  expect((await call(client)).doubtful).toBe(false)
  gone = ""
  await call(client)
  expect(dependencies.requests.map(({ endpoint }) => endpoint)).toEqual([
    ...["http://a:1", "http://a:1", "http://a:1"],
    ...["http://b:1", "http://b:1"],
  ])
  expect(client.health.get()).toEqual({ reachable: true, endpoint: "http://b:1" })
})

test("a member that says nothing is left after a second, and the answer is doubtful", async () => {
  const { dependencies, client } = clientOf(({ endpoint }) =>
    endpoint === "http://a:1" ? undefined : good(),
  )
  const answer = call(client)
  await dependencies.advance(999)
  expect(dependencies.requests).toHaveLength(1)
  await dependencies.advance(1)
  expect((await answer).doubtful).toBe(true)
  expect(dependencies.requests[0]?.signal.aborted).toBe(true)
  expect(dependencies.timers).toBe(0)
})

test("when none answers the call fails within its time and says why of each", async () => {
  const { dependencies, client } = clientOf(({ endpoint }) =>
    endpoint === "http://a:1"
      ? undefined
      : endpoint === "http://b:1"
        ? refuse()
        : new Response("<html>", { status: 502 }),
  )
  const failed = errorOf(call(client))
  await dependencies.advance(3000)
  const error = await failed
  expect(error.code).toBe("store-away")
  expect(error.message).toBe(
    "Cannot read x: etcd does not answer: http://a:1: no answer within 1000 ms; " +
      "http://b:1: connection refused; http://c:1: HTTP status 502, not from etcd",
  )
  expect(error.hint).toContain("etcd")
  expect(client.health.get()).toMatchObject({ reachable: false })
})

test("a short absence is bridged, a known one is not waited for", async () => {
  let away = true
  const { dependencies, client } = clientOf(() => (away ? refuse() : good()))
  const bridged = call(client)
  await dependencies.advance(1000)
  away = false
  await dependencies.advance(1000)
  await bridged
  away = true
  const failed = errorOf(call(client))
  await dependencies.advance(3000)
  await failed
  const before = dependencies.requests.length
  await errorOf(call(client))
  expect(dependencies.requests.length - before).toBe(3)
  away = false
  await call(client)
  expect(client.health.get().reachable).toBe(true)
})

test("what every member would say is not asked of the next", async () => {
  const { dependencies, client } = clientOf(() =>
    refusal(400, 11, "etcdserver: mvcc: required revision has been compacted"),
  )
  expect(await errorOf(call(client))).toMatchObject({
    code: "io",
    message:
      "Cannot read x: etcd refuses it: etcdserver: mvcc: required revision has been compacted",
  })
  expect(dependencies.requests).toHaveLength(1)
  expect(client.health.get().reachable).toBe(true)
})

test("a refusal of rights is an error of its own", async () => {
  const { client } = clientOf(() => refusal(403, 7, "etcdserver: permission denied"))
  expect(await errorOf(call(client))).toMatchObject({
    code: "permission",
    message: "Cannot read x: etcd refuses it: etcdserver: permission denied",
  })
})

test("an answer that is none makes the member as good as away", async () => {
  const bad = ["", "{", "[]", "null", '"x"']
  for (const text of bad) {
    const { dependencies, client } = clientOf(({ endpoint }) =>
      endpoint === "http://a:1" ? new Response(text) : good(),
    )
    await call(client)
    expect(dependencies.requests.map(({ endpoint }) => endpoint)).toEqual([
      "http://a:1",
      "http://b:1",
    ])
  }
})

test("an answer that stops in the middle is not waited for", async () => {
  const { dependencies, client } = clientOf(({ endpoint }) => {
    if (endpoint !== "http://a:1") return good()
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
      }),
    )
  })
  const answer = call(client)
  await dependencies.advance(1000)
  expect((await answer).value).toEqual({ header: {} })
})

test("an endless answer is cut off", async () => {
  const chunk = new Uint8Array(4 * 1024 * 1024).fill(0x20)
  let read = 0
  const { client } = clientOf(
    () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            read++
            controller.enqueue(chunk)
          },
        }),
      ),
  )
  const error = await call(client).catch((reason: Error) => reason)
  expect(String(error)).toContain("more than")
  expect(read).toBeLessThan(20)
})

test("a token is shown once there is one, and renewed when it is refused", async () => {
  let valid = "t1"
  let logins = 0
  const user = { name: "u", password: "hunter2" }
  const { dependencies, client } = clientOf(
    ({ path, headers }) => {
      if (path === "/v3/auth/authenticate") {
        logins++
        return Response.json({ header: {}, token: valid })
      }
      if (headers.get("authorization") === valid) return good()
      return refusal(401, 16, "etcdserver: invalid auth token")
    },
    { user },
  )
  await call(client)
  await call(client)
  expect(logins).toBe(1)
  valid = "t2"
  await call(client)
  expect(logins).toBe(2)
  expect(dependencies.requests[0]?.body).toEqual(user)
  expect(dependencies.requests[0]?.headers.has("authorization")).toBe(false)
})

test("a token by which no member ever answers is fetched anew, and not before an election is over", async () => {
  let valid = "of before"
  const { dependencies, client } = clientOf(
    ({ path, headers }) => {
      if (path === "/v3/auth/authenticate") return Response.json({ token: valid })
      if (path === "/v3/maintenance/status") return good()
      // It waits for an index of its log that the token names, and that is far away.
      return headers.get("authorization") === valid ? good() : undefined
    },
    { user: { name: "root", password: "p" } },
  )
  await call(client)
  valid = "of now"
  const logins = () => dependencies.paths.filter((path) => path === "/v3/auth/authenticate").length
  const failed = errorOf(call(client))
  await dependencies.advance(3000)
  expect((await failed).code).toBe("store-away")
  expect(logins()).toBe(1)
  // What answers any token says nothing of this one.
  await client.call("/v3/maintenance/status", {}, "look", same)
  const again = errorOf(call(client))
  await dependencies.advance(3000)
  expect((await again).code).toBe("store-away")
  await call(client)
  expect(logins()).toBe(2)
})

test("a token that no member takes ends in an error, not in a loop", async () => {
  const user = { name: "u", password: "p" }
  const { dependencies, client } = clientOf(
    ({ path }) =>
      path === "/v3/auth/authenticate"
        ? Response.json({ token: "t" })
        : refusal(401, 16, "etcdserver: invalid auth token"),
    { user },
  )
  const failed = errorOf(call(client))
  await dependencies.advance(3000)
  expect((await failed).message).toContain("http://a:1: etcdserver: invalid auth token")
  expect(dependencies.requests.length).toBeLessThan(150)
})

test("a request asks for a member that knows the others, and goes nowhere else", async () => {
  const { dependencies, client } = clientOf(good)
  await call(client)
  expect(dependencies.requests[0]?.headers.get("grpc-metadata-hasleader")).toBe("true")
})

test("closing fails what is under way, and all after it", async () => {
  const { dependencies, client } = clientOf(() => undefined)
  const failed = errorOf(call(client))
  await settle()
  client.close()
  expect((await failed).message).toBe("Cannot read x: the store is closed")
  expect((await errorOf(call(client))).message).toContain("closed")
  expect(dependencies.timers).toBe(0)
})

test("many members share the time of a call", async () => {
  const urls = Array.from({ length: 10 }, (_, n) => `http://h${n}:1`)
  const { dependencies, client } = clientOf(
    ({ endpoint }) => (endpoint === "http://h9:1" ? good() : undefined),
    {},
    urls,
  )
  const answer = call(client)
  await dependencies.advance(3000)
  expect((await answer).doubtful).toBe(true)
})

test("once the host has another address, what is under way is asked again on a connection of its own", async () => {
  let isDead = false
  const { dependencies, client } = clientOf(() => (isDead ? undefined : good()), {}, ["http://a:1"])
  await call(client)
  isDead = true
  const answer = call(client)
  await settle()
  isDead = false
  client.reconnect()
  // Long before a member that says nothing is left.
  await dependencies.advance(200)
  expect((await answer).doubtful).toBe(true)
  expect(dependencies.requests[1]?.signal.aborted).toBe(true)
  expect(dependencies.requests.map(({ keepalive }) => keepalive)).toEqual([true, true, false])
  // By then the runtime has dropped the idle ones.
  await dependencies.advance(300_000)
  await call(client)
  expect(dependencies.requests.at(-1)?.keepalive).toBe(true)
  expect(dependencies.timers).toBe(0)
})

test("a client that is closed is not opened again by another address", async () => {
  const { client } = clientOf(good)
  client.close()
  client.reconnect()
  expect((await errorOf(call(client))).message).toContain("the store is closed")
})

test("a slow store is waited for as long as it takes, once that is known", async () => {
  // An answer of one that has a slow disk, or a slow line to it.
  const SLOW_MS = 2500
  const { dependencies, client } = clientOf(() => undefined, {}, ["http://a:1"])
  dependencies.answer = () =>
    new Promise((resolve) => dependencies.after(SLOW_MS, () => resolve(good())))
  const outcomes: boolean[] = []
  for (let n = 0; n < 8; n++) {
    const done = call(client).then(
      () => outcomes.push(true),
      () => outcomes.push(false),
    )
    for (let step = 0; step < 40 && outcomes.length === n; step++) await dependencies.advance(500)
    await done
  }
  expect(outcomes.slice(2)).toEqual([true, true, true, true, true, true])
  expect(client.health.get().reachable).toBe(true)
})
