import { afterAll, expect, test } from "bun:test"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { LariatError } from "../../errors.ts"
import { secureFetch } from "./fetch.ts"

// Certificates: test/cluster/members.test.ts and runtimes.test.ts, under both runtimes.

const server = createServer((request, response) => {
  request.on("data", (body) => response.end(`${request.method} ${body}`))
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
const { port } = server.address() as AddressInfo
afterAll(() => void server.close())

test("without certificates it is a plain fetch", async () => {
  const fetch = secureFetch()
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x" })
  expect(await response.text()).toBe("POST x")
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
