import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { type HttpHead, parseHead } from "./head.ts"

function good(text: string): HttpHead {
  const head = parseHead(text)
  if (typeof head === "number") throw new Error(`refused with ${head}: ${text}`)
  return head
}

test("a request is read", () => {
  const head = good("GET /a?b HTTP/1.1\r\nHost: h\r\nACCEPT:  x/y \r\nAccept: z/z")
  expect(head).toMatchObject({ method: "GET", target: "/a?b", keepAlive: true, bodyBytes: 0 })
  expect(head.headers.get("accept")).toBe("x/y, z/z")
})

test("the target is the path, however it is written", () => {
  const target = (text: string) => good(`GET ${text} HTTP/1.1\r\nHost: h`).target
  expect(target("http://other:80/a/../b?c")).toBe("/a/../b?c")
  expect(target("http://other")).toBe("/")
  expect(target("http://other?q")).toBe("/?q")
  expect(target("/http://x/")).toBe("/http://x/")
  expect(target("/%2e%2E//x")).toBe("/%2e%2E//x")
  expect(target("/\xc3\xa9")).toBe("/é")
})

test.each([
  ["GET / HTTP/1.1\r\nHost: h\r\nConnection: close", false],
  ["GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close", false],
  ["GET / HTTP/1.0", false],
  ["GET / HTTP/1.0\r\nConnection: Keep-Alive", true],
])("%p keeps the connection: %p", (text, keepAlive) => {
  expect(good(text).keepAlive).toBe(keepAlive)
})

describe("refused", () => {
  test.each([
    ["", 400],
    ["GET", 400],
    ["GET  / HTTP/1.1\r\nHost: h", 400],
    ["GET / HTTP/1.1 \r\nHost: h", 400],
    ["GET / http/1.1\r\nHost: h", 400],
    ["GET / HTTP/2.0", 505],
    ["GET x HTTP/1.1\r\nHost: h", 400],
    ["OPTIONS * HTTP/1.1\r\nHost: h", 400],
    ["CONNECT h:80 HTTP/1.1\r\nHost: h", 400],
    ["GET ftp://h/ HTTP/1.1\r\nHost: h", 400],
    ["GET / HTTP/1.1", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400],
    ["GET / HTTP/1.1\r\nHost : h", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\n folded", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\nX: a\0b", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400],
    [`GET /${"x".repeat(8192)} HTTP/1.1\r\nHost: h`, 414],
    [`GET / HTTP/1.1\r\nHost: h${"\r\na: b".repeat(64)}`, 431],
  ])("%p with %d", (text, status) => expect(parseHead(text)).toBe(status))
})

test("where a body ends is known, or that it is not", () => {
  const bytes = (field: string) => good(`POST / HTTP/1.1\r\nHost: h\r\n${field}`).bodyBytes
  expect(bytes("Content-Length: 0")).toBe(0)
  expect(bytes("Content-Length: 12")).toBe(12)
  expect(bytes("Transfer-Encoding: chunked")).toBe(Number.POSITIVE_INFINITY)
})

test("whatever comes is read or refused, the same each time", () => {
  const line = fc.constantFrom(
    "GET / HTTP/1.1",
    "Host: h",
    "X: y",
    "\r",
    ":",
    "HEAD /a HTTP/1.0",
    "",
  )
  const text = fc.array(fc.oneof(line, fc.string())).map((lines) => lines.join("\r\n"))
  fc.assert(
    fc.property(text, (one) => {
      const head = parseHead(one)
      if (typeof head === "number") expect([400, 414, 431, 505]).toContain(head)
      else expect(head.target).toStartWith("/")
      expect(parseHead(one)).toEqual(head)
    }),
  )
})
