/** A client that was written for the original: it polls the version, and reads JSON on a change. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { waitFor } from "../clients/program.ts"
import { requireTestNetns } from "./guard.ts"
import { MetadataServe } from "./metadata_server.ts"

requireTestNetns()

/** The stock client's, whatever it asks the server to wait. */
const CLIENT_TIMEOUT_MS = 10_000

/** What go-rancher-metadata does: its requests, its time-out, and its rest after an error. */
class StockClient {
  readonly heard: string[] = []
  readonly errors: string[] = []
  /** Requests for the version. */
  asked = 0
  readonly #server: MetadataServe
  readonly #version: string
  readonly #timeoutMs: number
  #stopped = false

  constructor(server: MetadataServe, version: string, timeoutMs = CLIENT_TIMEOUT_MS) {
    this.#server = server
    this.#version = version
    this.#timeoutMs = timeoutMs
  }

  /** Calls back on each change until it is stopped, beginning with a version that no server has. */
  async onChange(seconds: number, run: () => Promise<void>): Promise<void> {
    let version = "init"
    while (!this.#stopped) {
      try {
        this.asked += 1
        const wait = `/version?wait=true&value=${version}&maxWait=${seconds}`
        const next = (await this.json(wait)) as string
        if (next === version) continue
        version = next
        this.heard.push(version)
        await run()
      } catch (error) {
        this.errors.push(String(error))
        await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
      }
    }
  }

  stop(): void {
    this.#stopped = true
  }

  async json(path: string): Promise<unknown> {
    const response = await fetch(this.#server.url(`/${this.#version}${path}`), {
      headers: { Accept: "application/json", "User-Agent": "Go-http-client/1.1" },
      signal: AbortSignal.timeout(this.#timeoutMs),
    })
    // It knows no other success, and follows what leads elsewhere.
    if (response.status !== 200) throw new Error(`Error ${response.status} accessing ${path}`)
    return await response.json()
  }
}

let directory: string
let objects: string
let server: MetadataServe

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "lariat-client-"))
  objects = join(directory, "objects.json")
  write("One")
  server = await MetadataServe.start(objects, 7084)
})
afterAll(async () => {
  await server.stop()
  rmSync(directory, { recursive: true })
})

function write(...names: readonly string[]): void {
  const containers = names.map((name) => ({
    metadata_kind: "container",
    uuid: name,
    name,
    state: "running",
    primary_ip: "10.42.0.2",
    labels: { "a<b": "&" },
  }))
  writeFileSync(objects, JSON.stringify(containers))
}

function change(...names: readonly string[]): void {
  write(...names)
  server.reload()
}

test.each([
  ["2015-12-19", (name: string) => name],
  ["2016-07-29", (name: string) => name.toLowerCase()],
])("%s: hears each change at once, and reads what changed", async (version, written) => {
  const client = new StockClient(server, version)
  const seen: string[][] = []
  const done = client.onChange(5, async () => {
    const containers = (await client.json("/containers")) as { readonly name: string }[]
    seen.push(containers.map(({ name }) => name))
  })
  const sees = (...names: readonly string[]) =>
    waitFor(`${names}`, () => {
      return seen.at(-1)?.join() === names.map(written).join() ? true : undefined
    })
  change("One")
  await sees("One")
  change("One", "Two")
  await sees("One", "Two")
  change("Two")
  await sees("Two")
  client.stop()
  change("One")
  await done
  expect(client.errors).toEqual([])
  // One request for each change: nothing is asked in a circle.
  expect(client.asked).toBeLessThanOrEqual(client.heard.length + 1)
  expect(new Set(client.heard).size).toBe(client.heard.length)
})

test("without a change it is held for as long as it asked, and answered with the same", async () => {
  const client = new StockClient(server, "2015-12-19")
  const known = (await client.json("/version")) as string
  const started = performance.now()
  expect(await client.json(`/version?wait=true&value=${known}&maxWait=2`)).toBe(known)
  expect(performance.now() - started).toBeGreaterThan(1900)
})

test("a client whose own time is over before goes on after a rest, and misses nothing", async () => {
  const client = new StockClient(server, "2015-12-19", 300)
  const done = client.onChange(1, async () => undefined)
  await waitFor("the client to give up once", () => (client.errors.length > 0 ? true : undefined))
  const before = client.heard.length
  change("During", "The", "Rest")
  await waitFor("the change to be heard", () => (client.heard.length > before ? true : undefined))
  client.stop()
  await done
  expect(client.errors.every((text) => text.includes("Timeout"))).toBe(true)
})
