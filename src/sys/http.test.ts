import { afterAll, expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { type RemoteAddress, serveHttp } from "./http.ts"

const errors: unknown[] = []
const server = serveHttp(
  { hostname: "127.0.0.1", port: 0, maxBodyBytes: 100, onError: (error) => errors.push(error) },
  async (request, remote) => {
    const { pathname } = new URL(request.url)
    if (pathname === "/throw") throw new Error("secret detail")
    if (pathname === "/body") return new Response(await request.text())
    return Response.json(remote)
  },
)
afterAll(() => server.stop())
const url = `http://127.0.0.1:${server.port}`

test("the handler learns who asks", async () => {
  const remote = (await (await fetch(url)).json()) as RemoteAddress
  expect(remote.address).toBe("127.0.0.1")
  expect(remote.port).toBeGreaterThan(0)
})

test("what a handler throws is heard here and not there", async () => {
  const response = await fetch(`${url}/throw`)
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain("secret")
  expect(errors.map(String)).toEqual(["Error: secret detail"])
})

test("a body over the limit gets 413", async () => {
  const post = (body: string) => fetch(`${url}/body`, { method: "POST", body })
  expect(await (await post("x".repeat(100))).text()).toBe("x".repeat(100))
  expect((await post("x".repeat(101))).status).toBe(413)
})

test("an IPv4 client of a server on both families has its plain address", async () => {
  const both = serveHttp({ hostname: "::", port: 0 }, (_, remote) => Response.json(remote))
  const four = (await (await fetch(`http://127.0.0.1:${both.port}`)).json()) as RemoteAddress
  expect(four.address).toBe("127.0.0.1")
  await both.stop()
})

test("an address in use is an error that says so", () => {
  try {
    serveHttp({ hostname: "127.0.0.1", port: server.port }, () => new Response())
    throw new Error("served twice")
  } catch (error) {
    expect(error).toBeInstanceOf(LariatError)
    expect((error as LariatError).message).toContain(`127.0.0.1 port ${server.port}`)
    expect((error as LariatError).code).toBe("io")
  }
})

test("a stopped server is gone", async () => {
  const short = serveHttp({ hostname: "127.0.0.1", port: 0 }, () => new Response("x"))
  await short.stop()
  await expect(fetch(`http://127.0.0.1:${short.port}`)).rejects.toThrow()
})
