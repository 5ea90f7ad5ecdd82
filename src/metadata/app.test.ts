import { describe, expect, test } from "bun:test"
import recorded from "../../test/fixtures/metadata/cases.json" with { type: "json" }
import objects from "../../test/fixtures/metadata/objects.json" with { type: "json" }
import { type MetadataApi, metadataApi } from "./app.ts"
import { Model } from "./model.ts"
import { loadObjects, parseObjectsFile } from "./objects_file.ts"

const ASKER = "10.42.10.1"
const STRANGER = "192.0.2.1"

function modelOfFixture(): Model {
  const model = new Model()
  loadObjects(model, parseObjectsFile("fixture", JSON.stringify(objects)))
  return model
}

function apiOf(model: Model): MetadataApi {
  let versions = 0
  return metadataApi({
    model,
    mayAsk: (address) => address !== STRANGER,
    newVersion: () => `version-${++versions}`,
    schedule: (ms, run) => {
      // A tenth of the time: what is tested is who is answered, not how long a second is.
      const timer = setTimeout(run, ms / 10)
      return () => clearTimeout(timer)
    },
  })
}

const api = apiOf(modelOfFixture())

function ask(path: string, from = ASKER, init: RequestInit = {}): Promise<Response> {
  return Promise.resolve(api.fetch(new Request(`http://169.254.169.250${path}`, init), from))
}

/** What is answered otherwise on purpose; the README says why. */
const DIFFERENT: Readonly<Record<string, string>> = {
  "meta-html-text": "a value is never called HTML",
  "dot-dot": "fetch resolves dots before the server sees them; see the raw test",
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
    const headers = one.request.headers as Record<string, string>
    const response = await ask(one.request.path, one.request.source_ip, {
      method: one.request.method,
      headers,
    })
    const body = await response.text()
    expect(response.status).toBe(one.response.status)
    if (one.volatile !== true) expect(body).toBe(one.response.body)
    for (const [name, value] of Object.entries(one.response.headers)) {
      // The server adds the length of a body; that of HEAD is ours to say.
      if (name === "Content-Length" && one.request.method !== "HEAD") continue
      expect([name, response.headers.get(name)]).toEqual([name, value ?? null])
    }
    if (one.response.headers["Content-Type"] === undefined) {
      expect(response.headers.get("Content-Type")).toBeNull()
    }
  })
})

test("a value that looks like HTML is called plain text", async () => {
  const response = await ask("/2016-07-29/self/service/metadata/html")
  expect(await response.text()).toBe("<a>&")
  expect(response.headers.get("Content-Type")).toBe("text/plain; charset=utf-8")
  expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff")
})

test("a stranger gets nothing, on any path", async () => {
  for (const path of ["/", "/latest/self/host", "/openapi.json", "/favicon.ico"]) {
    const response = await ask(path, STRANGER)
    expect(response.status).toBe(403)
    expect(await response.text()).toBe("Forbidden\n")
  }
})

test("nobody is answered what was another's, however the path is written", async () => {
  const names = async (from: string) =>
    Promise.all(
      [
        "/latest/self/container/name",
        "/latest/%73elf/container/name",
        "/latest/SELF/container/name",
      ].map(async (path) => (await ask(path, from)).text()),
    )
  expect(new Set(await names(ASKER))).toEqual(new Set(["default-web-1"]))
  expect(new Set(await names("10.42.10.2"))).toEqual(new Set(["default-web-2"]))
  expect(new Set(await names("127.0.0.1"))).toEqual(new Set(["Not found\n"]))
})

test("the token is its own service's alone", async () => {
  expect(await (await ask("/latest/self/service/token")).text()).toBe("tok-Web")
  for (const path of ["services/web", "stacks/default/services/web"]) {
    expect(await (await ask(`/latest/${path}/token`)).text()).toBe("")
  }
})

test("an answer that the client has is not sent again", async () => {
  const first = await ask("/latest/self/container")
  const tag = first.headers.get("ETag") ?? "none"
  const again = await ask("/latest/self/container", ASKER, { headers: { "If-None-Match": tag } })
  expect(again.status).toBe(304)
  expect(await again.text()).toBe("")
  const other = await ask("/latest/self/container", ASKER, { headers: { "If-None-Match": '"x"' } })
  expect(other.status).toBe(200)
})

test("broken escapes and endless paths are refused", async () => {
  expect((await ask("/latest/%E0%A4%A")).status).toBe(400)
  expect((await ask(`/latest/${"x".repeat(9000)}`)).status).toBe(414)
})

test("empty segments lead to the clean path", async () => {
  const response = await ask("/latest//self/?x=1")
  expect(response.status).toBe(301)
  expect(response.headers.get("Location")).toBe("/latest/self/?x=1")
})

test("a browser gets the page at the root, and nowhere else", async () => {
  const headers = { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" }
  const page = await ask("/", ASKER, { headers })
  expect(page.headers.get("Content-Type")).toBe("text/html; charset=utf-8")
  expect(await page.text()).toStartWith("<!doctype html>")
  expect((await ask("/latest", ASKER, { headers })).headers.get("Content-Type")).toContain("plain")
})

test("the description lists the versions that there are", async () => {
  const description = JSON.stringify(await (await ask("/openapi.json")).json())
  for (const version of (await (await ask("/")).text()).trim().split("\n")) {
    expect(description).toContain(`"${version}"`)
  }
})

describe("waiting", () => {
  test("ends with the change, for all who wait", async () => {
    const model = modelOfFixture()
    const own = apiOf(model)
    const wait = (path: string) =>
      Promise.resolve(own.fetch(new Request(`http://x${path}`), ASKER)).then((one) => one.text())
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

  test("ends when the client goes", async () => {
    const own = apiOf(modelOfFixture())
    const abort = new AbortController()
    const path = "http://x/latest/self/container/name?wait=true&value=default-web-1&maxWait=60"
    const pending = own.fetch(new Request(path, { signal: abort.signal }), ASKER)
    expect(own.waiting).toBe(1)
    abort.abort()
    await pending
    expect(own.waiting).toBe(0)
  })
})
