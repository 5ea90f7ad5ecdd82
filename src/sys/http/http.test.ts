import { afterAll, describe, expect, test } from "bun:test"
import { connect, type Socket } from "node:net"
import { LariatError } from "../../errors.ts"
import type { HttpRequest } from "./connection.ts"
import { type HttpOptions, serveHttp } from "./http.ts"

const PLAIN = { "Content-Type": "text/plain" }
const LONG = "long ".repeat(400_000)
const errors: unknown[] = []
/** What requests that hang have heard. */
const gone: string[] = []

function answer(request: HttpRequest, { address }: { readonly address: string }) {
  const { target } = request
  if (target === "/throw") throw new Error("secret detail")
  if (target === "/reject") return Promise.reject(new Error("secret promise"))
  if (target === "/hang") {
    request.signal.addEventListener("abort", () => gone.push(target))
    return new Promise<never>(() => undefined)
  }
  if (target === "/gone" && request.signal.aborted) {
    return { status: 200, headers: PLAIN, body: "gone" }
  }
  if (target === "/long") return { status: 200, headers: PLAIN, body: LONG }
  if (target === "/header") return { status: 200, headers: { X: "a\r\nY: b" }, body: "" }
  const body = `${request.method} ${target} ${address} ${request.header("x-asked") ?? "-"}`
  return { status: 200, headers: PLAIN, body }
}

const options: HttpOptions = {
  hostname: "127.0.0.1",
  port: 0,
  limits: { headBytes: 2048, bodyBytes: 100, headMs: 300, idleMs: 1500 },
  onError: (error) => errors.push(error),
}
const server = await serveHttp(options, answer)
afterAll(() => server.stop())
const url = `http://127.0.0.1:${server.port}`

/** Sends bytes, and gives all that comes until the server hangs up. */
function exchange(bytes: string, port = server.port): Promise<string> {
  return new Promise((resolve) => {
    let text = ""
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(bytes, "latin1"))
    socket.setEncoding("latin1")
    socket.on("data", (piece) => {
      text += piece
    })
    socket.on("error", () => undefined)
    socket.on("close", () => resolve(text))
  })
}

const head = (line: string, ...fields: string[]) =>
  [line, "Host: x", ...fields, "", ""].join("\r\n")
const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1])
const lastly = (line: string, ...fields: string[]) => head(line, ...fields, "Connection: close")

describe("answers", () => {
  test("the handler learns who asks, and what", async () => {
    const response = await fetch(`${url}/a?b=c`, { headers: { "X-Asked": "so" } })
    expect(await response.text()).toBe("GET /a?b=c 127.0.0.1 so")
    expect(response.headers.get("content-type")).toBe("text/plain")
    const date = Date.parse(response.headers.get("date") ?? "")
    expect(Math.abs(Date.now() - date)).toBeLessThan(60_000)
  })

  test("HEAD has the length, not the body", async () => {
    const text = await exchange(lastly("HEAD /x HTTP/1.1"))
    expect(text).toContain(`Content-Length: ${"HEAD /x 127.0.0.1 -".length}\r\n`)
    expect(text).toEndWith("\r\n\r\n")
  })

  test("what a handler throws is heard here and not there", async () => {
    for (const path of ["/throw", "/reject", "/header"]) {
      const response = await fetch(url + path)
      expect(response.status).toBe(500)
      expect(await response.text()).toBe("Internal Server Error\n")
    }
    expect(errors.map(String)).toEqual([
      "Error: secret detail",
      "Error: secret promise",
      expect.stringContaining("it is no header"),
    ])
  })

  test("a long answer comes whole, also to who asks for the end of the connection", async () => {
    expect(await (await fetch(`${url}/long`)).text()).toBe(LONG)
    expect((await exchange("GET /long HTTP/1.0\r\n\r\n")).split("\r\n\r\n")[1]).toBe(LONG)
  })

  test("requests that are sent ahead are answered in order", async () => {
    const text = await exchange(
      head("GET /1 HTTP/1.1") + head("GET /2 HTTP/1.1") + lastly("GET /3 HTTP/1.1"),
    )
    expect(text.match(/GET \/\d/g)).toEqual(["GET /1", "GET /2", "GET /3"])
  })

  test("more than one head's worth sent ahead is answered all the same", async () => {
    const text = await exchange(head("GET /n HTTP/1.1").repeat(500) + lastly("GET /end HTTP/1.1"))
    expect(text.match(/GET \/n /g)?.length).toBe(500)
    expect(text).toContain("GET /end ")
  })

  test("a client that ends its side is answered", async () => {
    const text = await new Promise<string>((resolve) => {
      let all = ""
      const socket = connect({ host: "127.0.0.1", port: server.port, allowHalfOpen: true }, () =>
        socket.end(head("GET /half HTTP/1.1")),
      )
      socket.on("data", (piece) => {
        all += piece
      })
      socket.on("close", () => resolve(all))
    })
    expect(text).toContain("GET /half ")
  })

  test("a request behind others, of a client that has ended its side, knows that", async () => {
    const text = await new Promise<string>((resolve) => {
      let all = ""
      const socket = connect({ host: "127.0.0.1", port: server.port, allowHalfOpen: true }, () =>
        socket.end(head("GET /1 HTTP/1.1").repeat(3) + head("GET /gone HTTP/1.1")),
      )
      socket.on("data", (piece) => {
        all += piece
      })
      socket.on("close", () => resolve(all))
    })
    expect(text).toEndWith("gone")
  })

  test("HTTP/1.0 ends the connection unless it asks otherwise", async () => {
    expect(await exchange("GET / HTTP/1.0\r\n\r\n")).toContain("Connection: close\r\n")
    const kept = `GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n`
    const text = await exchange(kept)
    expect(text).toContain("Connection: keep-alive\r\n")
    expect(text).toContain("GET /2")
  })

  test("a client that hangs up while it waits is heard of", async () => {
    const socket = connect({ host: "127.0.0.1", port: server.port })
    socket.write(head("GET /hang HTTP/1.1"))
    await Bun.sleep(50)
    socket.destroy()
    while (gone.length === 0) await Bun.sleep(5)
    expect(gone).toEqual(["/hang"])
  })

  test("an IPv4 client of a server on both families has its plain address", async () => {
    const both = await serveHttp({ hostname: "::", port: 0 }, answer)
    expect(await (await fetch(`http://127.0.0.1:${both.port}`)).text()).toContain(" 127.0.0.1 ")
    await both.stop()
  })
})

describe("what is refused", () => {
  test.each([
    ["nonsense", "\x16\x03\x01\x02\r\n\r\n", 400],
    ["a head without end", `GET / HTTP/1.1\r\nX: ${"x".repeat(4000)}`, 431],
    ["too many lines", head("GET / HTTP/1.1", ...Array.from({ length: 70 }, () => "a: b")), 431],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
    ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ])("%s", async (_, bytes, status) => {
    expect(statusOf(await exchange(bytes))).toBe(status)
  })

  test("a body over the limit; a smaller one is skipped, and the connection ends", async () => {
    const post = (length: number) =>
      exchange(head("POST / HTTP/1.1", `Content-Length: ${length}`) + "x".repeat(length))
    expect(statusOf(await post(100))).toBe(200)
    expect(statusOf(await post(101))).toBe(413)
    const hidden = head("GET /hidden HTTP/1.1")
    const smuggled = await exchange(
      head("POST / HTTP/1.1", `Content-Length: ${hidden.length}`) + hidden,
    )
    expect(smuggled).not.toContain("/hidden")
  })
})

describe("time", () => {
  test("a head that does not end is given up", async () => {
    expect(statusOf(await exchange("GET / HTTP/1.1\r\nX: "))).toBe(408)
  })

  test("bytes now and then are no reprieve", async () => {
    let drip: ReturnType<typeof setInterval> | undefined
    const text = await new Promise<string>((resolve) => {
      let all = ""
      const socket = connect({ host: "127.0.0.1", port: server.port }, () => {
        socket.write("GET / HTTP/1.1\r\n")
        drip = setInterval(() => socket.write("a: b\r\n"), 40)
      })
      socket.on("data", (piece) => {
        all += piece
      })
      socket.on("error", () => undefined)
      socket.on("close", () => resolve(all))
    })
    clearInterval(drip)
    expect(statusOf(text)).toBe(408)
  })

  test("a connection that says nothing is closed, before and after a request", async () => {
    expect(await exchange("")).toBe("")
    expect(await exchange(head("GET /once HTTP/1.1"))).toContain("GET /once")
  })
})

test("a client that takes nothing of its answer is given up", async () => {
  const impatient = await serveHttp({ ...options, limits: { sendMs: 200 } }, answer)
  const socket = connect({ host: "127.0.0.1", port: impatient.port })
  socket.on("error", () => undefined)
  socket.pause()
  socket.write(head("GET /long HTTP/1.1").repeat(20))
  while (impatient.connections === 0) await Bun.sleep(5)
  while (impatient.connections > 0) await Bun.sleep(20)
  socket.destroy()
  await impatient.stop()
})

describe("room", () => {
  const idlers = async (port: number, count: number): Promise<Socket[]> =>
    Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<Socket>((resolve) => {
            const socket = connect({ host: "127.0.0.1", port }, () => resolve(socket))
            socket.on("error", () => undefined)
          }),
      ),
    )

  test("is made by closing the source's oldest idle connection", async () => {
    const small = await serveHttp({ ...options, maxConnectionsPerSource: 3 }, answer)
    const sockets = await idlers(small.port, 3)
    const first = new Promise((resolve) => sockets[0]?.on("close", () => resolve("closed")))
    expect(await exchange(lastly("GET /in HTTP/1.1"), small.port)).toContain("GET /in")
    expect(await first).toBe("closed")
    expect(small.connections).toBeLessThanOrEqual(3)
    for (const socket of sockets) socket.destroy()
    await small.stop()
  })

  test("is not made at the cost of requests in work", async () => {
    const small = await serveHttp({ ...options, maxConnections: 2 }, answer)
    const sockets = await idlers(small.port, 2)
    for (const socket of sockets) socket.write(head("GET /hang HTTP/1.1"))
    await Bun.sleep(50)
    expect(await exchange(lastly("GET /out HTTP/1.1"), small.port)).toBe("")
    expect(small.connections).toBe(2)
    for (const socket of sockets) socket.destroy()
    await small.stop()
  })
})

test("an address in use is an error that says so", async () => {
  const twice = serveHttp({ hostname: "127.0.0.1", port: server.port }, answer)
  const error = await twice.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(LariatError)
  expect((error as LariatError).message).toContain(`127.0.0.1 port ${server.port}`)
  expect((error as LariatError).code).toBe("io")
})

test("a stopped server is gone", async () => {
  const short = await serveHttp({ hostname: "127.0.0.1", port: 0 }, answer)
  const { port } = short
  await short.stop()
  await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow()
})
