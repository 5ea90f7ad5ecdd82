/** What one client of the metadata API can take from it, and from the others: little. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import { waitFor } from "../clients/program.ts"
import { requireTestNetns } from "./guard.ts"
import { type Connection, get, MetadataServe, statuses } from "./metadata_server.ts"

requireTestNetns()

const OBJECTS = join(import.meta.dir, "../fixtures/metadata/objects.json")
/** Two containers. */
const HOSTILE = "127.0.0.2"
const OTHER = "127.0.0.3"

const IDLE = 10_000
const DRIPPING = 500
const MEBIBYTE = 1024 * 1024
/** What a server keeps of descriptors whose connections it has closed. */
const SLACK = 16
/** A head must be there after 10 s (src/sys/http/http.ts); half a second later at most it is noticed. */
const LET_GO_MS = 25_000

let server: MetadataServe
beforeAll(async () => {
  server = await MetadataServe.start(OBJECTS, 7080)
})
afterAll(() => server.stop())

async function expectServed(from = OTHER): Promise<void> {
  const text = await server.exchange(get("/latest/name", "Connection: close"), from)
  expect(text).toStartWith("HTTP/1.1 200 ")
  expect(text).toEndWith("default")
}

async function expectLetGo(before: number): Promise<void> {
  await waitFor(
    "connections to be let go",
    () => (server.fds <= before + SLACK ? true : undefined),
    LET_GO_MS,
  )
}

test(`${IDLE} idle connections keep nobody out, cost little, and are let go`, async () => {
  await expectServed()
  const before = { fds: server.fds, rss: server.rss }
  const idle: Connection[] = []
  while (idle.length < IDLE) {
    idle.push(...(await Promise.all(Array.from({ length: 250 }, () => server.connect(HOSTILE)))))
  }
  await waitFor("the server to have taken most of them", () =>
    server.fds > before.fds + IDLE / 2 ? true : undefined,
  )
  await expectServed()
  await expectServed(HOSTILE)
  expect(server.rss - before.rss).toBeLessThan(128 * MEBIBYTE)
  await expectLetGo(before.fds)
  await expectServed()
  for (const { socket } of idle) socket.destroy()
})

test("heads that come drop by drop are given up", async () => {
  const before = server.fds
  const slow = await Promise.all(Array.from({ length: DRIPPING }, () => server.connect(HOSTILE)))
  const drip = setInterval(() => {
    for (const { socket, closed } of slow) if (!closed) socket.write("X: y\r\n")
  }, 500)
  try {
    for (const { socket } of slow) socket.write("GET / HTTP/1.1\r\nHost: x\r\n")
    await waitFor("the server to have taken them", () =>
      server.fds >= before + DRIPPING - SLACK ? true : undefined,
    )
    await expectServed()
    await expectLetGo(before)
    for (const one of slow) expect(one.text.slice(0, 12)).toBe("HTTP/1.1 408")
  } finally {
    clearInterval(drip)
    for (const { socket } of slow) socket.destroy()
  }
})

test.each([
  ["a header of 1 MiB", get("/", `X: ${"x".repeat(MEBIBYTE)}`), 431],
  ["a thousand headers", get("/", ...Array.from({ length: 1000 }, () => "a: b")), 431],
  ["a path of 9,000 bytes", get(`/${"x".repeat(9000)}`), 414],
  ["a path of 1 MiB", get(`/${"x".repeat(MEBIBYTE)}`), 431],
  ["a body of 64 MiB", `${get("/", "Content-Length: 67108864")}${"x".repeat(MEBIBYTE)}`, 413],
  ["a chunked body", `${get("/", "Transfer-Encoding: chunked")}5\r\nhello\r\n`, 413],
  ["bytes of TLS", `\x16\x03\x01${"\x00".repeat(20_000)}`, 431],
])("%s is refused, and the connection ends", async (_, bytes, status) => {
  // What is sent after the refusal may cost the refusal: then only the end comes.
  expect([[], [status]]).toContainEqual(statuses(await server.exchange(bytes, HOSTILE)))
  await expectServed()
})

test("requests sent ahead are answered one after the other, beside those of others", async () => {
  const before = server.rss
  const ahead = await server.connect(HOSTILE)
  const last = get("/latest/name", "Connection: close")
  ahead.socket.write(get("/latest/containers", "Accept: application/json").repeat(2000) + last)
  await expectServed()
  expect(statuses(await ahead.rest()).length).toBe(2001)
  expect(server.rss - before).toBeLessThan(128 * MEBIBYTE)
})

test("who reads nothing is sent no more than the kernel holds", async () => {
  const before = server.rss
  const deaf = await Promise.all(Array.from({ length: 50 }, () => server.connect(HOSTILE)))
  for (const { socket } of deaf) {
    socket.pause()
    socket.write(get("/latest/containers", "Accept: application/json").repeat(3000))
  }
  await expectServed()
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect(server.rss - before).toBeLessThan(128 * MEBIBYTE)
  await expectServed()
  for (const { socket } of deaf) socket.destroy()
})

test("a flood gets its share and no more while another asks", async () => {
  // Counted over time, as upper bounds only: 4,000 a second, and 5,000 at once.
  await expectServed()
  const flood = await Promise.all(Array.from({ length: 64 }, () => server.connect(HOSTILE)))
  const request = get("/latest/name")
  for (const { socket } of flood) {
    socket.on("data", () => socket.write(request))
    socket.write(request)
  }
  const count = () => flood.reduce((sum, { text }) => sum + statuses(text).length, 0)
  const pause = () => new Promise((resolve) => setTimeout(resolve, 1000))
  await expectServed()
  const started = performance.now()
  const before = count()
  await pause()
  await expectServed()
  await pause()
  const answered = count() - before
  const seconds = (performance.now() - started) / 1000
  for (const { socket } of flood) socket.destroy()
  expect(answered).toBeGreaterThan(100)
  expect(answered).toBeLessThan(4000 * seconds + 5000 + 64)
})

test("nothing of it was more than the server could answer", () => {
  expect(server.runs).toBe(true)
  expect(server.log).toBe("")
})
