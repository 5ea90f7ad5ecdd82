/** An etcd of one member that goes away and comes back. */
import { afterEach, expect, test } from "bun:test"
import type { StoreHealth } from "../../src/cluster/store/store.ts"
import { waitFor } from "../clients/program.ts"
import { Ear, errorOf } from "./ear.ts"
import { PacketCut } from "./packet_cut.ts"
import { Scene } from "./scene.ts"
import { CountingWriter } from "./writer.ts"

let scene: Scene | undefined
afterEach(async () => {
  await scene?.end()
  scene = undefined
})

/** Longer than a call may take before it fails, with room for a busy machine, ms. */
const CALL_BOUND_MS = 6000

test("calls fail with the reason while it is away, watches and presences come back", async () => {
  scene = await Scene.begin()
  const { cluster } = scene
  const store = scene.store()
  const told: StoreHealth[] = []
  store.onHealth((health) => told.push(health))
  const ear = new Ear()
  store.watch("/o/", ear)
  store.present("/o/alive", "me", { ttlMs: 2000 })
  await ear.hears("/o/alive", "me")
  await cluster.kill()

  const begun = performance.now()
  const error = await errorOf(store.get("/o/alive"))
  expect(performance.now() - begun).toBeLessThan(CALL_BOUND_MS)
  expect(error.code).toBe("store-away")
  expect(error.message).toContain("/o/alive")
  expect(error.message).toContain(`${cluster.urls[0]}: connection refused`)
  expect(error.hint).toContain("etcd")
  const health = store.health()
  expect(health.reachable).toBe(false)
  expect(health.reason).toContain("connection refused")
  expect(health.since).toBeGreaterThan(0)
  // What is known to be away is not waited for.
  const again = performance.now()
  expect((await errorOf(store.list("/o/"))).code).toBe("store-away")
  expect((await errorOf(store.commit([], [{ key: "/o/x", value: "1" }]))).code).toBe("store-away")
  expect(performance.now() - again).toBeLessThan(2000)

  await cluster.startMembers()
  await waitFor("the store to be back", () => store.health().reachable || undefined)
  expect((await store.commit([], [{ key: "/o/back", value: "1" }])).committed).toBe(true)
  await ear.hears("/o/back", "1")
  await ear.hears("/o/alive", "me")
  // Known again by the lease that lasts: it was longer away than it lasts, or just as well not.
  await new Promise((resolve) => setTimeout(resolve, 3000))
  expect((await store.get("/o/alive"))?.value).toBe("me")
  expect(told.map(({ reachable }) => reachable)).toEqual([true, false, true])
})

test("a watch resumes behind what it heard and misses nothing across kill -9", async () => {
  scene = await Scene.begin()
  const { cluster } = scene
  const ear = new Ear()
  scene.store().watch("/k/", ear)
  const writer = new CountingWriter(scene.store(), "/k/")
  for (let round = 0; round < 3; round++) {
    await waitFor("writes", () => writer.written.length > (round + 1) * 20 || undefined)
    await cluster.kill()
    await cluster.startMembers()
  }
  await waitFor("writes", () => writer.written.length > 80 || undefined)
  await writer.stop()
  await ear.hears(writer.key, String(writer.written.at(-1)))
  const heard = ear.heard.map(({ value }) => Number(value))
  const first = ear.listings[0]?.entries[0]
  const expected = writer.written.filter((n) => first === undefined || n > Number(first.value))
  expect(heard).toEqual(expected)
  expect(ear.listings).toHaveLength(1)
})

test("a member that hangs is noticed, with a silent watch, and gone on with when it wakes", async () => {
  scene = await Scene.begin({ progressInterval: "1s" })
  const [member] = scene.cluster.members
  const store = scene.store()
  const ear = new Ear()
  store.watch("/h/", ear)
  await store.commit([], [{ key: "/h/a", value: "1" }])
  await ear.hears("/h/a", "1")
  await member?.pause()
  const begun = performance.now()
  const error = await errorOf(store.get("/h/a"))
  expect(performance.now() - begun).toBeLessThan(CALL_BOUND_MS)
  expect(error.message).toContain("no answer within")
  member?.resume()
  await waitFor("the store to be back", () => store.health().reachable || undefined)
  await store.commit([], [{ key: "/h/a", value: "2" }])
  await ear.hears("/h/a", "2")
})

test("a cut connection that stays open is noticed without progress notifications too", async () => {
  scene = await Scene.begin()
  const store = scene.store({ suspectMs: 1000 })
  const writer = scene.store()
  const ear = new Ear()
  store.watch("/c/", ear)
  await writer.commit([], [{ key: "/c/a", value: "1" }])
  await ear.hears("/c/a", "1")
  const cut = new PacketCut(scene.cluster.members.map(({ clientPort }) => clientPort))
  try {
    await waitFor("it to be noticed", () => !store.health().reachable || undefined)
    expect(store.health().reason).toContain("no answer within")
  } finally {
    cut.mend()
  }
  await waitFor("the writer to be back", async () =>
    writer.commit([], [{ key: "/c/a", value: "2" }]).catch(() => undefined),
  )
  await ear.hears("/c/a", "2")
  expect(ear.listings).toHaveLength(1)
})

test("a dead connection to a member that is well is opened anew", async () => {
  scene = await Scene.begin()
  const store = scene.store({ suspectMs: 500 })
  const writer = scene.store()
  const ear = new Ear()
  store.watch("/d/", ear)
  await writer.commit([], [{ key: "/d/a", value: "1" }])
  await ear.hears("/d/a", "1")
  // A router that forgot its connections: open ones go silent, new ones work.
  const ports = scene.cluster.members.map(({ clientPort }) => clientPort)
  const cut = new PacketCut(ports, "open connections")
  try {
    await waitFor("the writer's new connection", async () =>
      writer.commit([], [{ key: "/d/a", value: "2" }]).catch(() => undefined),
    )
    await ear.hears("/d/a", "2")
  } finally {
    cut.mend()
  }
})
