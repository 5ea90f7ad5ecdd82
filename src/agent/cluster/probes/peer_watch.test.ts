import { expect, test } from "bun:test"
import type { EchoProbe, EchoResult } from "../../../sys/probes/echo.ts"
import { PeerWatch, type PeerWatchOptions, type WatchedPath } from "./peer_watch.ts"

const PATH: WatchedPath = { network: "ipsec", hostId: "h2" }
const TARGET = { destination: "10.42.1.254", source: "10.42.0.254", fullBytes: 1446 }

/** A watch over a clock of its own, whose rounds follow each other as fast as they can. */
async function watchFor(
  rounds: number,
  answer: (probe: EchoProbe, round: number) => EchoResult,
  others: Partial<PeerWatchOptions> = {},
) {
  let now = 0
  let round = 0
  const heard: string[] = []
  const asked: EchoProbe[] = []
  const done = Promise.withResolvers<void>()
  const watch = new PeerWatch({
    prober: {
      async probe(probes) {
        asked.push(...probes)
        now += 10_000
        if (++round >= rounds) done.resolve()
        return probes.map((probe) => answer(probe, round))
      },
      close() {},
    },
    clock: () => now,
    facts: () => ({ alive: true }),
    repair: ({ hostId }, repair) => heard.push(`repair ${hostId} ${repair}`),
    onChange: ({ network }, { after }) => heard.push(`${network} ${after.state}`),
    onFailure: (error) => heard.push(`failure ${error}`),
    ...others,
  })
  watch.set(PATH, TARGET)
  watch.start()
  await done.promise
  await new Promise((resolve) => setTimeout(resolve, 1))
  watch.stop()
  return { watch, heard, asked }
}

test("a peer that answers both sizes is up", async () => {
  const { watch, heard, asked } = await watchFor(3, () => ({ kind: "answered", rttMs: 2 }))
  expect(heard).toEqual(["ipsec up"])
  expect(watch.report(PATH)).toMatchObject({ state: "up" })
  expect(asked.slice(0, 2).map(({ packetBytes }) => packetBytes)).toEqual([100, 1446])
  expect(asked[0]).toMatchObject({ destination: "10.42.1.254", source: "10.42.0.254" })
})

test("a path that is too narrow is degraded, and its size is found", async () => {
  const { watch, heard } = await watchFor(12, ({ packetBytes }) =>
    packetBytes <= 1300 ? { kind: "answered", rttMs: 1 } : { kind: "timeout" },
  )
  expect(heard).toContain("ipsec degraded")
  expect(watch.report(PATH)).toMatchObject({ state: "degraded", largestBytes: 1300, isExact: true })
})

test("a silent peer is down, and a repair is asked for", async () => {
  const { watch, heard } = await watchFor(6, () => ({ kind: "unsent", errno: 3 }))
  expect(heard[0]).toBe("ipsec down")
  expect(heard).toContain("repair h2 rotate-keys")
  expect(watch.report(PATH)).toMatchObject({ state: "down", reason: "no-sa" })
})

test("a round that fails is told, and the next one comes", async () => {
  let calls = 0
  const done = Promise.withResolvers<void>()
  const heard: unknown[] = []
  let now = 0
  const watch = new PeerWatch({
    prober: {
      async probe() {
        now += 10_000
        if (++calls === 2) done.resolve()
        throw new Error("no buffer space")
      },
      close() {},
    },
    clock: () => now,
    facts: () => ({}),
    repair: () => {},
    onChange: () => {},
    onFailure: (error) => heard.push(error),
  })
  watch.start()
  await done.promise
  watch.stop()
  expect(heard.length).toBeGreaterThan(0)
})
