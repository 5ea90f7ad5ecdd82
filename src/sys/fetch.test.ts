import { afterAll, expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { secureFetch } from "./fetch.ts"
import { serveHttp } from "./http.ts"

// Certificates: test/cluster/members.test.ts and runtimes.test.ts, under both runtimes.

const server = serveHttp({ hostname: "127.0.0.1", port: 0 }, async (request) =>
  Response.json({ method: request.method, body: await request.text() }),
)
afterAll(() => server.stop())

test("without certificates it is a plain fetch", async () => {
  const fetch = secureFetch()
  const response = await fetch(`http://127.0.0.1:${server.port}/`, { method: "POST", body: "x" })
  expect(await response.json()).toEqual({ method: "POST", body: "x" })
})

test("a certificate without its key is refused, and a key without its certificate", () => {
  for (const half of [{ cert: "PEM" }, { key: "PEM" }]) {
    const make = () => secureFetch(half)
    expect(make).toThrow(LariatError)
    expect(make).toThrow("is missing")
  }
})

test("no key is ever in the error", () => {
  expect(() => secureFetch({ key: "SECRET KEY" })).not.toThrow("SECRET KEY")
})
