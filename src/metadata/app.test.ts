import { expect, test } from "bun:test"
import { metadataApp } from "./app.ts"

const app = metadataApp({
  treeFor(address) {
    if (address === "192.0.2.1") return undefined
    const host = { name: "h1", agent_ip: "203.0.113.2" }
    if (address !== "10.42.0.2") return { self: { host } }
    return { self: { container: { name: "web-1", labels: { "a b": "x" } }, host } }
  },
})

function ask(path: string, remoteAddress = "10.42.0.2", init: RequestInit = {}) {
  return app.fetch(new Request(`http://169.254.169.250${path}`, init), { remoteAddress })
}

test("self depends on the source address", async () => {
  expect(await (await ask("/latest/self")).text()).toBe("container/\nhost/\n")
  expect(await (await ask("/latest/self", "127.0.0.1")).text()).toBe("host/\n")
  expect(await (await ask("/latest/self/container/name")).text()).toBe("web-1")
  expect((await ask("/latest/self/container/name", "127.0.0.1")).status).toBe(404)
})

test("a stranger gets nothing", async () => {
  const response = await ask("/latest/self/host", "192.0.2.1")
  expect(response.status).toBe(403)
  expect(await response.text()).toBe("Forbidden\n")
})

test("JSON is given when asked for, errors have the shape that clients know", async () => {
  const headers = { Accept: "application/json" }
  expect(await (await ask("/latest/self/host", undefined, { headers })).json()).toEqual({
    agent_ip: "203.0.113.2",
    name: "h1",
  })
  const missing = await ask("/latest/nope", undefined, { headers })
  expect(missing.status).toBe(404)
  expect(await missing.text()).toBe('{"code":404,"message":"Not found","type":"error"}\n')
})

test("paths: root, wrong version, trailing slash, escapes, broken escapes", async () => {
  expect(await (await ask("/")).text()).toBe("latest\n")
  expect(await (await ask("/1999-01-01")).text()).toBe("Invalid version\n")
  expect(await (await ask("/latest/self/container/labels/a+b/")).text()).toBe("x")
  expect((await ask("/latest/%E0%A4%A")).status).toBe(400)
})

test("HEAD has no body, other methods find nothing", async () => {
  const head = await ask("/latest/self/host", undefined, { method: "HEAD" })
  expect(head.status).toBe(200)
  expect(await head.text()).toBe("")
  expect((await ask("/latest/self/host", undefined, { method: "POST" })).status).toBe(404)
})
