/** Presences on a real etcd: kept, lost, made again, and gone with their host. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { waitFor } from "../clients/program.ts"
import { Ear } from "./ear.ts"
import { Scene } from "./scene.ts"

let scene: Scene
beforeAll(async () => {
  scene = await Scene.begin()
})
afterAll(() => scene?.end())

async function leaseIds(): Promise<string[]> {
  const text = await scene.cluster.ctl(["lease", "list"])
  return text.split("\n").filter((line) => /^[0-9a-f]{8,}$/.test(line))
}

test("a presence lasts far longer than its time", async () => {
  const ear = new Ear()
  scene.store().watch("/last/", ear)
  const presence = scene.store().present("/last/me", "here", { ttlMs: 2000 })
  await ear.hears("/last/me", "here")
  await new Promise((resolve) => setTimeout(resolve, 6000))
  expect(ear.heard.map(({ value }) => value)).toEqual(["here"])
  presence.close()
  await ear.hears("/last/me", undefined)
})

test("it ends with its host, after its time and not before", async () => {
  const ear = new Ear()
  scene.store().watch("/end/", ear)
  const { store, gate } = scene.gated()
  store.present("/end/me", "here", { ttlMs: 3000 })
  await ear.hears("/end/me", "here")
  gate.close()
  const begun = performance.now()
  await ear.hears("/end/me", undefined)
  expect(performance.now() - begun).toBeGreaterThan(900)
  gate.open()
  // Back: granted and written anew.
  await ear.hears("/end/me", "here")
})

test("a lease that an administrator revoked is granted again", async () => {
  const ear = new Ear()
  const store = scene.store()
  store.watch("/revoked/", ear)
  const presence = store.present("/revoked/me", "here", { ttlMs: 3000 })
  await ear.hears("/revoked/me", "here")
  // It may have been there when the watch began, and be no change that was heard.
  const before = ear.heard.length
  for (const id of await leaseIds()) await scene.cluster.ctl(["lease", "revoke", id])
  await waitFor("it to be written again", () => ear.heard.length >= before + 2 || undefined)
  expect(ear.heard.slice(before).map(({ value }) => value)).toEqual([undefined, "here"])
  presence.close()
  await ear.hears("/revoked/me", undefined)
})

test("closing the store gives its leases back", async () => {
  const before = await leaseIds()
  const store = scene.store()
  store.present("/close/a", "1", { ttlMs: 60_000 })
  store.present("/close/b", "1", { ttlMs: 60_000 })
  const other = scene.store()
  await waitFor("both", async () =>
    (await other.list("/close/")).entries.length === 2 ? true : undefined,
  )
  await store.close()
  expect((await other.list("/close/")).entries).toEqual([])
  expect((await leaseIds()).length).toBeLessThanOrEqual(before.length)
})

test("a closed store has taken little time, also when etcd does not answer", async () => {
  const { store, gate } = scene.gated()
  store.present("/shut/a", "1", { ttlMs: 2000 })
  const other = scene.store()
  await waitFor("it", () => other.get("/shut/a"))
  gate.close()
  const begun = performance.now()
  await store.close()
  expect(performance.now() - begun).toBeLessThan(5000)
  await waitFor("the lease to end", async () =>
    (await other.get("/shut/a")) === undefined ? true : undefined,
  )
})
