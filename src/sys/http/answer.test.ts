import { expect, test } from "bun:test"
import { encodeAnswer, type Framing, type HttpAnswer, refusal } from "./answer.ts"

const GET: Framing = { method: "GET", keepAlive: true, old: false }

function wire(answer: HttpAnswer, framing: Partial<Framing> = {}): string {
  return encodeAnswer(answer, { ...GET, ...framing })
    .map((piece) => (typeof piece === "string" ? piece : piece.toString("latin1")))
    .join("")
    .replace(/^Date: .* GMT\r\n/m, "")
}

test("status, headers, length and body", () => {
  const answer = { status: 200, headers: { A: "b" }, body: "é" }
  expect(wire(answer)).toBe("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n\xc3\xa9")
  expect(wire(answer, { method: "HEAD" })).toEndWith("Content-Length: 2\r\n\r\n")
})

test.each([10, 1023, 1024, 70_000, 200_000])("a body of %d bytes is whole", (length) => {
  const answer = { status: 200, headers: {}, body: "x".repeat(length) }
  const [head, body] = wire(answer).split("\r\n\r\n")
  expect(head).toContain(`Content-Length: ${length}`)
  expect(body).toBe(answer.body)
})

test("the same bytes go to all who ask in the same way, others to others", () => {
  const answer = { status: 200, headers: {}, body: "é".repeat(2000) }
  const first = wire(answer)
  const closed = wire(answer, { keepAlive: false })
  expect(closed).toContain("Connection: close")
  expect(closed.split("\r\n\r\n")[1]).toBe(first.split("\r\n\r\n")[1] ?? "")
  expect(wire(answer)).toBe(first)
})

test("what becomes of the connection is said where it is not what the client expects", () => {
  const answer = refusal(404)
  expect(wire(answer)).not.toContain("Connection")
  expect(wire(answer, { old: true })).toContain("\r\nConnection: keep-alive\r\n")
  expect(wire(answer, { keepAlive: false })).toContain("\r\nConnection: close\r\n")
})

test("304 says nothing of a length", () => {
  expect(wire({ status: 304, headers: { ETag: '"x"' }, body: "" })).toBe(
    'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
  )
})

test.each([
  ["A", "b\r\nC: d"],
  ["A", "b\nC"],
  ["A: x\r\nB", "c"],
  ["A", "\u0100"],
])("the header %p: %p is not sent", (name, value) => {
  expect(() => wire({ status: 200, headers: { [name]: value }, body: "" })).toThrow("no header")
})
