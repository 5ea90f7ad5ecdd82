import { afterAll, beforeAll, expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { SystemError } from "../ffi/errno.ts"
import { SocketTimeout } from "./socket.ts"
import { httpGet } from "./tcp.ts"

/** httpGet blocks this thread, so the server is another process: it says what the path asks for. */
const SERVER = `
const { createServer } = require("node:net")
const answers = {
  "/length": "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nX-Test: a: b\\r\\n\\r\\nhello and more",
  "/close": "HTTP/1.0 404 Not Found\\r\\n\\r\\nuntil the end",
  "/empty": "HTTP/1.1 204\\r\\n\\r\\n",
  "/nonsense": "220 mail.example.net ESMTP\\r\\n\\r\\n",
  "/short": "HTTP/1.1 200 OK\\r\\nContent-Length: 50\\r\\n\\r\\nhello",
  "/headless": "HTTP/1.1 200 OK\\r\\n",
  "/chunked": "HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
  "/large": "HTTP/1.1 200 OK\\r\\n\\r\\n" + "x".repeat(5000),
}
const server = createServer((socket) => {
  socket.on("error", () => {})
  socket.on("data", (data) => {
    const path = data.toString().split(" ")[1]
    if (path === "/request") socket.end("HTTP/1.0 200 OK\\r\\n\\r\\n" + data + socket.remoteAddress)
    else if (path === "/drip") setInterval(() => socket.write("H"), 20)
    else if (path === "/length") socket.write(answers[path])
    else if (path in answers) socket.end(answers[path])
  })
}).listen(0, "127.0.0.1", () => console.log(server.address().port))
`
let server: Bun.Subprocess<"ignore", "pipe", "inherit">
let port = 0
beforeAll(async () => {
  server = Bun.spawn([process.execPath, "-e", SERVER], { stdout: "pipe", stderr: "inherit" })
  const { value } = await server.stdout.getReader().read()
  port = Number(new TextDecoder().decode(value))
})
afterAll(() => server.kill())

const get = (path: string, options = {}) => httpGet("127.0.0.1", port, path, options)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

test("an answer of announced length ends there, also when the connection stays", () => {
  const answer = get("/length")
  expect(answer.status).toBe(200)
  expect(text(answer.body)).toBe("hello")
  expect(answer.headers.get("x-test")).toBe("a: b")
})

test("an answer without length ends with the connection", () => {
  expect([get("/close").status, text(get("/close").body)]).toEqual([404, "until the end"])
  expect([get("/empty").status, get("/empty").body.length]).toEqual([204, 0])
})

test("the request is HTTP/1.0 with our headers, from the address asked for", () => {
  const seen = text(get("/request", { headers: { Accept: "text/plain" }, from: "127.0.0.2" }).body)
  expect(seen).toBe(
    `GET /request HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\nAccept: text/plain\r\n\r\n127.0.0.2`,
  )
})

test("what is no HTTP, or not all of it, is refused", () => {
  for (const path of ["/nonsense", "/short", "/headless", "/chunked"]) {
    try {
      get(path)
      throw new Error(`${path} was accepted`)
    } catch (error) {
      expect(error).toBeInstanceOf(LariatError)
      expect((error as LariatError).code).toBe("decode")
    }
  }
})

test("limits of size and time", () => {
  expect(() => get("/large", { maxBytes: 1000 })).toThrow("exceeds 1000 bytes")
  expect(() => get("/silence", { timeoutMs: 50 })).toThrow(SocketTimeout)
  expect(() => get("/drip", { timeoutMs: 100 })).toThrow(SocketTimeout)
})

test("a closed port is refused at once, and a path may not smuggle headers", () => {
  expect(() => httpGet("127.0.0.1", 1, "/")).toThrow(SystemError)
  for (const path of ["", "length", "/a b", "/a\r\nX: y", "/ä"]) {
    expect(() => get(path)).toThrow("no encoded path")
  }
})
