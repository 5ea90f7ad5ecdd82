import { describe, expect, test } from "bun:test"
import recorded from "../../test/fixtures/metadata/cases.json" with { type: "json" }
import objects from "../../test/fixtures/metadata/objects.json" with { type: "json" }
import type { LongPollOptions } from "./long_poll.ts"
import { MetadataApi } from "./metadata_api.ts"
import { Model } from "./model.ts"
import { loadObjects, parseObjectsFile } from "./objects_file.ts"

const ASKER = "10.42.10.1"
const OTHER = "10.42.10.2"
const STRANGER = "192.0.2.1"

function modelOfFixture(): Model {
  const model = new Model()
  loadObjects(model, parseObjectsFile("fixture", JSON.stringify(objects)))
  return model
}

function apiOf(model: Model, waiting: LongPollOptions = {}): MetadataApi {
  let versions = 0
  return new MetadataApi({
    model,
    mayAsk: (address) => address !== STRANGER,
    waiting,
    newVersion: () => `version-${++versions}`,
    now: () => performance.now(),
    schedule: (ms, run) => {
      // A tenth of the time: what is tested is who is answered, not how long a second is.
      const timer = setTimeout(run, ms / 10)
      return () => clearTimeout(timer)
    },
  })
}

const api = apiOf(modelOfFixture())

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal
  readonly of?: MetadataApi
}

interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

async function ask(target: string, from = ASKER, asked: Asked = {}): Promise<Answered> {
  const { method = "GET", headers = {}, signal = new AbortController().signal, of = api } = asked
  const request = new Request(`http://x${target}`)
  // A server brings methods that no client may make a request of.
  Object.defineProperty(request, "method", { value: method })
  for (const [name, value] of Object.entries(headers)) request.headers.set(name, value ?? "")
  const answer = await of.fetch(request, { address: from, gone: signal })
  return { status: answer.status, headers: answer.headers, body: await answer.text() }
}

function header({ headers }: Answered, name: string): string | undefined {
  return headers.get(name) ?? undefined
}

/** What is answered otherwise on purpose; the README says why. */
const DIFFERENT: Readonly<Record<string, string>> = {
  "meta-html-text": "a value is never called HTML",
  "dot-dot": "the runtime resolves dots before it hands over the request",
}

interface RecordedCase {
  readonly id: string
  readonly volatile?: boolean
  readonly request: {
    readonly method: string
    readonly path: string
    readonly source_ip: string
    readonly headers: Readonly<Record<string, string | undefined>>
  }
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string | undefined>>
    readonly body: string
  }
}

describe("the recorded cases", () => {
  const cases = recorded.cases as unknown as readonly RecordedCase[]

  test("are all there", () => expect(cases.length).toBe(79))

  test.each(cases.map((one) => [one.id, one] as const))("%s", async (id, one) => {
    if (Object.hasOwn(DIFFERENT, id)) return
    const { method, path, source_ip: from, headers } = one.request
    const answer = await ask(path, from, { method, headers })
    expect(answer.status).toBe(one.response.status)
    if (one.volatile !== true && method !== "HEAD") expect(answer.body).toBe(one.response.body)
    for (const [name, value] of Object.entries(one.response.headers)) {
      // The server says the length where there is a body.
      if (name !== "Content-Length" || method === "HEAD")
        expect([name, header(answer, name)]).toEqual([name, value])
    }
    expect(header(answer, "Content-Type")).toBe(one.response.headers["Content-Type"])
  })
})

test("a value that looks like HTML is called plain text", async () => {
  const answer = await ask("/2016-07-29/self/service/metadata/html")
  expect(answer.body).toBe("<a>&")
  expect(header(answer, "Content-Type")).toBe("text/plain; charset=utf-8")
  expect(header(answer, "X-Content-Type-Options")).toBe("nosniff")
})

test("a stranger gets nothing, on any path", async () => {
  for (const path of ["/", "/latest/self/host", "/openapi.json", "/favicon.ico"]) {
    expect(await ask(path, STRANGER)).toMatchObject({ status: 403, body: "Forbidden\n" })
    expect(await ask(path, STRANGER, { method: "POST" })).toMatchObject({ status: 403 })
  }
})

test("who asks by a name that is not ours gets nothing, on any path and though it was answered before", async () => {
  for (const path of ["/latest/name", "/", "/openapi.json", "/latest/self/service/token"]) {
    for (const host of ["169.254.169.250", "rancher-metadata"]) {
      expect((await ask(path, ASKER, { headers: { host } })).status).toBe(200)
    }
    const headers = { host: "evil.example" }
    expect(await ask(path, ASKER, { headers })).toMatchObject({ status: 403, body: "Forbidden\n" })
  }
})

test("nobody is answered what was another's, however the path is written", async () => {
  const names = async (from: string) =>
    Promise.all(
      [
        "/latest/self/container/name",
        "/latest/%73elf/container/name",
        "/latest/SELF/container/name",
      ].map(async (path) => (await ask(path, from)).body),
    )
  expect(new Set(await names(ASKER))).toEqual(new Set(["default-web-1"]))
  expect(new Set(await names("10.42.10.2"))).toEqual(new Set(["default-web-2"]))
  expect(new Set(await names("127.0.0.1"))).toEqual(new Set(["Not found\n"]))
})

test("the token is its own service's alone", async () => {
  expect((await ask("/latest/self/service/token")).body).toBe("tok-Web")
  for (const path of ["services/web", "stacks/default/services/web"]) {
    expect((await ask(`/latest/${path}/token`)).body).toBe("")
  }
})

test("an answer that the client has is not sent again", async () => {
  const tag = header(await ask("/latest/self/container"), "ETag") ?? "none"
  const status = async (known: string) =>
    (await ask("/latest/self/container", ASKER, { headers: { "if-none-match": known } })).status
  for (const known of [tag, `W/${tag}`, `"x", ${tag}`, "*"]) expect(await status(known)).toBe(304)
  for (const known of ['"x"', "", tag.slice(1)]) expect(await status(known)).toBe(200)
  const headers = { "if-none-match": tag }
  expect((await ask("/latest/self/container", ASKER, { headers })).body).toBe("")
})

test("broken escapes and endless paths are refused", async () => {
  expect((await ask("/latest/%E0%A4%A")).status).toBe(400)
  expect((await ask(`/latest/${"x".repeat(9000)}`)).status).toBe(414)
})

test.each([
  ["/latest//self/?x=1", "/latest/self/?x=1"],
  ["/latest//..//self", "/latest/self"],
  ["//evil.example/x", "/evil.example/x"],
  ["/latest/é/..//é", "/latest/%C3%A9"],
])("%s leads to the clean path", async (path, location) => {
  const answer = await ask(path)
  expect(answer.status).toBe(301)
  expect(header(answer, "Location")).toBe(location)
})

test("dots lead where they point", async () => {
  const answer = await ask("/2016-07-29/self/../version")
  expect(answer.status).toBe(200)
  expect(answer.body).toBe((await ask("/2016-07-29/version")).body)
})

test("a browser gets the page at the root, and nowhere else", async () => {
  const headers = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }
  const page = await ask("/", ASKER, { headers })
  expect(header(page, "Content-Type")).toBe("text/html; charset=utf-8")
  expect(page.body).toStartWith("<!doctype html>")
  expect(header(await ask("/latest", ASKER, { headers }), "Content-Type")).toContain("plain")
  expect(await ask("/page", ASKER, { headers })).toMatchObject({ status: 404 })
})

test.each(["POST", "OPTIONS", "CONNECT", "TRACE", "get", "X-Y"])(
  "%s finds nothing anywhere",
  async (method) => {
    for (const path of ["/", "/latest/name", "/openapi.json"]) {
      expect(await ask(path, ASKER, { method })).toMatchObject({
        status: 404,
        body: "404 page not found\n",
      })
    }
  },
)

test("HEAD of the page has its length", async () => {
  const headers = { accept: "text/html" }
  const [get, head] = [
    await ask("/", ASKER, { headers }),
    await ask("/", ASKER, { headers, method: "HEAD" }),
  ]
  expect(head.body).toBe("")
  expect(header(head, "Content-Length")).toBe(`${new TextEncoder().encode(get.body).length}`)
})

test("the description lists the versions that there are", async () => {
  const description = (await ask("/openapi.json")).body
  for (const version of (await ask("/")).body.trim().split("\n")) {
    expect(description).toContain(`"${version}"`)
  }
})

const WAIT_FOR_NAME = "/latest/self/container/name?wait=true&value=default-web-1&maxWait=60"

describe("waiting", () => {
  test("ends with the change, for all who wait", async () => {
    const model = modelOfFixture()
    const own = apiOf(model)
    const wait = async (path: string) => (await ask(path, ASKER, { of: own })).body
    const version = await wait("/latest/version")
    const waits = [1, 2, 3].map(() => wait(`/latest/version?wait=true&value=${version}&maxWait=60`))
    const other = wait("/latest/self/container/name?wait=true&value=default-web-1&maxWait=60")
    expect(own.waiting).toBe(4)
    const container = model.containerAt(ASKER)
    if (container === undefined) throw new Error("the fixture has no such container")
    model.put({ ...container, state: "stopped" })
    expect(new Set(await Promise.all(waits)).size).toBe(1)
    expect(own.waiting).toBe(1)
    model.put({ ...container, name: "renamed" })
    expect(await other).toBe("renamed")
    expect(own.waiting).toBe(0)
  })

  test("is for what the path says, not for what another path leads to now", async () => {
    const model = modelOfFixture()
    const own = apiOf(model)
    const say = async (path: string, from = ASKER) => (await ask(path, from, { of: own })).body
    const [, name = ""] = /^0=(.*)/.exec(await say("/latest/containers")) ?? []
    const wait = (path: string, from?: string) =>
      say(`/latest/${path}?wait=true&value=${name}&maxWait=60`, from)
    const abort = new AbortController()
    const named = `/latest/containers/${name}/name?wait=true&value=${name}&maxWait=60`
    const byName = ask(named, ASKER, { of: own, signal: abort.signal })
    const byIndex = wait("containers/0/name")
    const missing = [wait("self/container/labels/new"), wait("self/container/labels/new", OTHER)]
    const [container, other] = [model.containerAt(ASKER), model.containerAt(OTHER)]
    if (container === undefined || other === undefined) throw new Error("the fixture lacks them")
    model.put({ ...container, uuid: "first", name: "a", primary_ip: "10.42.99.1", ips: [] })
    expect(await byIndex).toBe("a")
    expect(own.waiting).toBe(3)
    model.put({ ...other, labels: { new: "label" } })
    expect(await missing[1]).toBe("label")
    expect(own.waiting).toBe(2)
    model.put({ ...container, name: "renamed", labels: { new: "one" } })
    expect(await missing[0]).toBe("one")
    expect(own.waiting).toBe(1)
    abort.abort()
    await byName
  })

  test("ends when the client goes", async () => {
    const own = apiOf(modelOfFixture())
    const abort = new AbortController()
    const pending = ask(WAIT_FOR_NAME, ASKER, { of: own, signal: abort.signal })
    expect(own.waiting).toBe(1)
    abort.abort()
    await pending
    expect(own.waiting).toBe(0)
  })

  test("is over for others though the first who waits has too much in work", async () => {
    const model = modelOfFixture()
    let now = 0
    let timers: (() => void)[] = []
    const own = new MetadataApi({
      model,
      mayAsk: () => true,
      newVersion: () => `version-${now}`,
      now: () => now,
      schedule: (_, run) => {
        timers.push(run)
        return () => {
          timers = timers.filter((one) => one !== run)
        }
      },
    })
    const path = "/latest/version?wait=true&value=version-0&maxWait=60"
    const pending = [ASKER, OTHER].map((from) => ask(path, from, { of: own }))
    const flood = Array.from({ length: 2000 }, (_, n) =>
      ask(`/latest/containers/${n}/none`, ASKER, { of: own }),
    )
    await new Promise(setImmediate)
    const container = model.containerAt(ASKER)
    if (container === undefined) throw new Error("the fixture has no such container")
    const before = timers.length
    model.put({ ...container, state: "stopped" })
    // The look comes while the queue of the first is full.
    for (const look of timers.splice(before)) look()
    for (let turn = 0; turn < 100; turn++) {
      now += 1000
      // The ends of waiting stand first, and do not come.
      for (const run of timers.splice(own.waiting)) run()
      await new Promise(setImmediate)
    }
    expect(own.waiting).toBe(0)
    expect((await pending[1])?.body).not.toBe("version-0")
    const statuses = new Set((await Promise.all(flood)).map(({ status }) => status))
    expect(statuses).toEqual(new Set([404, 503]))
  })

  test("is refused where one source waits too often, and not for others", async () => {
    const own = apiOf(modelOfFixture(), { mostPerSource: 2 })
    const wait = (from: string) =>
      ask("/latest/name?wait=true&value=default&maxWait=1", from, { of: own })
    const held = [wait(ASKER), wait(ASKER)]
    expect(await wait(ASKER)).toMatchObject({ status: 503 })
    held.push(wait("10.42.10.2"))
    expect(own.waiting).toBe(3)
    await Promise.all(held)
  })
})
