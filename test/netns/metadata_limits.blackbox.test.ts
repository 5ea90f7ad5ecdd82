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

/** On a busy machine they take some seconds to open, and Bun lets go of the first ones after 12. */
const IDLE = 4000
const MEBIBYTE = 1024 * 1024
/** What a server keeps of descriptors whose connections it has closed. */
const SLACK = 16
/** When Bun has let go of a connection without a head; it looks every four seconds. */
const HEAD_MS = 15_000
const isBun = !(process.env.LARIAT_CMD ?? "").includes("deno")

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

test(`${IDLE} connections that ask nothing, or never to the end, keep nobody out`, async () => {
  await expectServed()
  const before = { fds: server.fds, rss: server.rss }
  const idle: Connection[] = []
  while (idle.length < IDLE) {
    idle.push(...(await Promise.all(Array.from({ length: 250 }, () => server.connect(HOSTILE)))))
  }
  for (const { socket } of idle.slice(IDLE / 2)) socket.write("GET / HTTP/1.1\r\nHost: x\r\n")
  await waitFor("the server to have taken most of them", () =>
    server.fds > before.fds + IDLE / 2 ? true : undefined,
  )
  await expectServed()
  await expectServed(HOSTILE)
  expect(server.rss - before.rss).toBeLessThan(128 * MEBIBYTE)
  for (const { socket } of idle) socket.destroy()
  await waitFor("connections to be let go", () =>
    server.fds <= before.fds + SLACK ? true : undefined,
  )
  await expectServed()
})

test("who says nothing, or never a whole head, is let go after 12 seconds by Bun, and kept by Deno", async () => {
  const silent = await server.connect(HOSTILE)
  const slow = await server.connect(HOSTILE)
  slow.socket.write("GET / HTTP/1.1\r\n")
  const trickle = setInterval(() => slow.socket.write("a: b\r\n"), 1000)
  await new Promise((resolve) => setTimeout(resolve, HEAD_MS))
  clearInterval(trickle)
  expect([silent.closed, slow.closed]).toEqual([isBun, isBun])
  for (const { socket } of [silent, slow]) socket.destroy()
}, 30_000)

test("who hangs up while it waits for a change is let go at once", async () => {
  const before = server.fds
  const wait = get("/latest/name?wait=true&value=default&maxWait=120")
  const waiting = await Promise.all(Array.from({ length: 500 }, () => server.connect(HOSTILE)))
  for (const { socket } of waiting) socket.write(wait)
  await waitFor("the server to have taken them", () =>
    server.fds >= before + 500 - SLACK ? true : undefined,
  )
  await expectServed()
  for (const { socket } of waiting) socket.destroy()
  await waitFor("waits to be let go", () => (server.fds <= before + SLACK ? true : undefined))
})

test.each([
  ["a header of 1 MiB", get("/", `X: ${"x".repeat(MEBIBYTE)}`), [431, 400]],
  ["a thousand headers", get("/", ...Array.from({ length: 1000 }, () => "a: b")), [431, 400]],
  ["a path of 9,000 bytes", get(`/${"x".repeat(9000)}`, "Connection: close"), [414]],
  ["a path of 1 MiB", get(`/${"x".repeat(MEBIBYTE)}`), [431, 400]],
  ["bytes of TLS", `\x16\x03\x01${"\x00".repeat(20_000)}`, [400]],
])("%s is refused, and the connection ends", async (_, bytes, allowed) => {
  // What is sent after the refusal may cost the refusal: then only the end comes. Bun says 431 where
  // Deno says 400.
  const found = statuses(await server.exchange(bytes, HOSTILE))
  expect(found.length).toBeLessThan(2)
  for (const status of found) expect(allowed).toContain(status)
  await expectServed()
})

test("a page whose name leads here is told nothing (DNS rebinding)", async () => {
  const asked = (host: string) =>
    server.exchange(get("/latest/name", "Connection: close").replace("Host: x", `Host: ${host}`))
  expect(statuses(await asked("evil.example"))).toEqual([403])
  expect(statuses(await asked("evil.example:80"))).toEqual([403])
  for (const host of ["169.254.169.250", "rancher-metadata.rancher.internal:80", "localhost"]) {
    expect(statuses(await asked(host))).toEqual([200])
  }
})

test("a body of 64 MiB is refused before it has come", async () => {
  const connection = await server.connect(HOSTILE)
  const head = get("/", "Content-Length: 67108864").replace("GET", "POST")
  connection.socket.write(`${head}${"x".repeat(MEBIBYTE)}`)
  await waitFor("the refusal", () =>
    connection.closed || statuses(connection.text).length > 0 ? true : undefined,
  )
  connection.socket.destroy()
  expect([[], [413]]).toContainEqual(statuses(connection.text))
  await expectServed()
})

test("requests sent ahead are answered one after the other, beside those of others", async () => {
  const before = server.rss
  const ahead = await server.connect(HOSTILE)
  const last = get("/latest/name", "Connection: close")
  ahead.socket.write(get("/latest/name").repeat(2000) + last)
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

test("nothing of it was more than the server could answer", () => {
  expect(server.runs).toBe(true)
  expect(server.log).toBe("")
})
