/** The metadata API asked in every wrong way: through sockets, and without them. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { MetadataApi } from "../../src/metadata/metadata_api.ts"
import { Model } from "../../src/metadata/model.ts"
import { loadObjects, parseObjectsFile } from "../../src/metadata/objects_file.ts"
import { waitFor } from "../clients/program.ts"
import { requireTestNetns } from "../netns/guard.ts"
import { get, MetadataServe } from "../netns/metadata_server.ts"
import { Random } from "../netns/random.ts"
import { fuzzedBytes, fuzzedHeaders, fuzzedTarget } from "./http_requests.ts"

requireTestNetns()

const OBJECTS = join(import.meta.dir, "../fixtures/metadata/objects.json")
const REQUESTS = 60_000
const WARM_UP = 10_000
const AT_ONCE = 32
const QUESTIONS = 40_000
const TIMEOUT_MS = 150_000
const MEBIBYTE = 1024 * 1024
/** The collector takes its time: 200,000 clients leave it between 10 and 70 MB, with no trend. */
const RSS_GROWTH = 96 * MEBIBYTE
const SLACK = 16
/** Statuses that the API gives, and no others: 500 would be a fault of ours. */
const STATUSES = [100, 200, 301, 304, 400, 403, 404, 408, 413, 414, 431, 505]

let server: MetadataServe
beforeAll(async () => {
  server = await MetadataServe.start(OBJECTS, 7081)
})
afterAll(() => server.stop())

/** Repeats a run by its seed when something is wrong. */
async function seeded(run: (random: Random) => Promise<void>): Promise<void> {
  const random = Random.fromEnvironment()
  try {
    await run(random)
  } catch (error) {
    console.error(`TEST_SEED=${random.seed} repeats this run`)
    console.error(server.log)
    throw error
  }
}

/** Sends what one client sends, ends its side, and checks what comes. */
async function client(random: Random): Promise<void> {
  const bytes = fuzzedBytes(random)
  const hangsUp = random.chance(0.05)
  const cut = random.chance(0.1) ? random.below(bytes.length) : bytes.length
  // One address alone would run out of ports, and of its share.
  const connection = await server.connect(`127.0.${random.below(200)}.${random.below(200) + 1}`)
  const { socket } = connection
  socket.write(bytes.slice(0, cut), "latin1")
  if (cut < bytes.length) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    socket.write(bytes.slice(cut), "latin1")
  }
  if (hangsUp) {
    socket.destroy()
    return
  }
  // Deno's server does not see the end of a client that has ended only its own side, and goes on
  // waiting for a change: who may have asked for that hangs up whole.
  if (bytes.includes("wait=")) setTimeout(() => socket.destroy(), 200)
  else socket.end()
  const text = await connection.rest()
  if (text === "") return
  expect(text).toMatch(/^HTTP\/1\.[01] \d{3} /)
  const status = Number(text.slice(9, 12))
  if (!STATUSES.includes(status)) throw new Error(`${status} for ${JSON.stringify(bytes)}`)
}

async function clients(random: Random, count: number): Promise<void> {
  let left = count
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await client(random)
    }),
  )
}

/** Whether a header is one to a client. */
function sendable(field: readonly [name: string, value: string]): boolean {
  try {
    new Headers([[...field]])
    return true
  } catch {
    return false
  }
}

test(
  `${REQUESTS} clients that send anything`,
  () =>
    seeded(async (random) => {
      await clients(random, WARM_UP)
      const before = { fds: server.fds, rss: server.rss }
      await clients(random, REQUESTS - WARM_UP)
      expect(server.runs).toBe(true)
      expect(await server.exchange(get("/latest/name", "Connection: close"))).toEndWith("default")
      await waitFor("descriptors to be closed", () =>
        server.fds <= before.fds + SLACK ? true : undefined,
      )
      expect(server.rss - before.rss).toBeLessThan(RSS_GROWTH)
      expect(server.log).toBe("")
    }),
  TIMEOUT_MS,
)

test(
  `${QUESTIONS} questions of any kind, without sockets`,
  () =>
    seeded(async (random) => {
      const model = new Model()
      loadObjects(model, parseObjectsFile(OBJECTS, readFileSync(OBJECTS, "utf8")))
      const timers = new Set<() => void>()
      let seconds = 0
      const api = new MetadataApi({
        model,
        mayAsk: (address) => address !== "192.0.2.1",
        newVersion: () => String(random.next()),
        now: () => seconds * 1000,
        schedule: (_, run) => {
          timers.add(run)
          return () => timers.delete(run)
        },
      })
      for (let question = 0; question < QUESTIONS; question++) {
        seconds += 1
        const target = fuzzedTarget(random)
        const headers = fuzzedHeaders(random)
        const from = random.pick(["10.42.10.1", "10.42.10.9", "127.0.0.1", "192.0.2.1", "", "x"])
        const request = new Request(`http://x${target.startsWith("/") ? target : `/${target}`}`, {
          method: random.pick(["GET", "GET", "HEAD", "POST"]),
          headers: [...headers].filter(sendable),
        })
        const asked = api.fetch(request, { address: from, gone: new AbortController().signal })
        // What waits does so a few turns later.
        await new Promise(setImmediate)
        for (const run of [...timers]) run()
        const response = await asked
        const { status } = response
        if (from === "192.0.2.1") {
          const isSaid = (await response.text()).includes("orbidden")
          expect([status, isSaid]).toEqual([403, request.method !== "HEAD"])
        } else if (!STATUSES.includes(status)) throw new Error(`${status} for ${target}`)
      }
      expect([api.waiting, timers.size]).toEqual([0, 0])
    }),
  TIMEOUT_MS,
)
