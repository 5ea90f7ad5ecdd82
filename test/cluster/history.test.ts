/** An etcd whose history is not what a watch left: compacted, or put back from a snapshot. */
import { afterEach, expect, test } from "bun:test"
import { join } from "node:path"
import type { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import { waitFor } from "../clients/program.ts"
import { Ear } from "./ear.ts"
import { Scene } from "./scene.ts"

let scene: Scene | undefined
afterEach(async () => {
  await scene?.end()
  scene = undefined
})

async function put(store: EtcdStore, key: string, value: string | undefined): Promise<number> {
  return (await store.commit([], [{ key, value }])).revision
}

/** Begins with two entries, and a watch that has heard of them and is cut off now. */
async function cutOff(begun: Scene) {
  const writer = begun.store()
  await put(writer, "/h/a", "1")
  await put(writer, "/h/b", "1")
  const ear = new Ear()
  const { store, gate } = begun.gated()
  store.watch("/h/", ear)
  await ear.hears("/h/b", "1")
  gate.close()
  return { writer, ear, gate, store }
}

test("what is not compacted is told change by change", async () => {
  scene = await Scene.begin()
  const { writer, ear, gate } = await cutOff(scene)
  for (let n = 2; n <= 1500; n++) await put(writer, "/h/a", `${n}`)
  await put(writer, "/h/b", undefined)
  gate.open()
  await ear.hears("/h/b", undefined)
  expect(ear.listings).toHaveLength(1)
  const values = ear.heard.map(({ value }) => value)
  expect(values).toEqual([...Array.from({ length: 1499 }, (_, n) => `${n + 2}`), undefined])
})

test("changes that were compacted are made up for by a listing", async () => {
  scene = await Scene.begin()
  const { writer, ear, gate } = await cutOff(scene)
  for (let n = 0; n < 10; n++) await put(writer, "/h/a", `${n}`)
  await put(writer, "/h/b", undefined)
  const at = await put(writer, "/h/a", "last")
  await put(writer, "/other", "1")
  await scene.cluster.ctl(["compaction", String(at + 1)])
  gate.open()
  await ear.hears("/h/a", "last")
  expect(ear.state.has("/h/b")).toBe(false)
  expect(ear.listings).toHaveLength(2)
  await put(writer, "/h/c", "after")
  await ear.hears("/h/c", "after")
  expect(ear.heard.map(({ key }) => key)).toEqual(["/h/c"])
})

test("so is a compaction of which it is not known what it took", async () => {
  scene = await Scene.begin()
  const { writer, ear, gate } = await cutOff(scene)
  let at = 0
  for (let n = 0; n < 10; n++) at = await put(writer, "/other", `${n}`)
  await scene.cluster.ctl(["compaction", String(at)])
  gate.open()
  await put(writer, "/h/c", "after")
  await ear.hears("/h/c", "after")
  expect(Object.fromEntries(ear.state)).toEqual({ "/h/a": "1", "/h/b": "1", "/h/c": "after" })
  expect(ear.listings).toHaveLength(2)
})

test("a watch that stays open does not mind compactions", async () => {
  scene = await Scene.begin()
  const writer = scene.store()
  const ear = new Ear()
  scene.store().watch("/h/", ear)
  let at = await put(writer, "/h/a", "0")
  await ear.hears("/h/a", "0")
  for (let n = 0; n < 5; n++) {
    at = await put(writer, "/h/a", `${n}`)
    await scene.cluster.ctl(["compaction", String(at)])
  }
  await ear.hears("/h/a", "4")
  expect(ear.listings).toHaveLength(1)
})

/** Stops etcd and puts it back to the snapshot. */
async function putBack(begun: Scene, snapshot: string): Promise<void> {
  await begun.cluster.stop()
  await begun.cluster.restore(snapshot)
  const store = begun.store()
  await waitFor("etcd to be back", () => store.list("/").catch(() => undefined))
}

test("a store put back from a snapshot is listed anew", async () => {
  scene = await Scene.begin()
  const writer = scene.store()
  await put(writer, "/h/a", "old")
  await put(writer, "/h/kept", "1")
  const snapshot = join(scene.directory, "snapshot")
  await scene.cluster.snapshot(snapshot)
  const ear = new Ear()
  scene.store().watch("/h/", ear)
  await ear.hears("/h/kept", "1")
  await put(writer, "/h/a", "new")
  await put(writer, "/h/kept", undefined)
  const last = await put(writer, "/h/young", "1")
  await ear.hears("/h/young", "1")

  await putBack(scene, snapshot)
  await ear.hears("/h/a", "old")
  expect(Object.fromEntries(ear.state)).toEqual({ "/h/a": "old", "/h/kept": "1" })
  expect(ear.listings).toHaveLength(2)
  expect(ear.listings[1]?.revision).toBeLessThan(last)
  const after = await put(writer, "/h/after", "1")
  expect(after).toBeLessThan(last)
  await ear.hears("/h/after", "1")
})

test("so is one that has passed the revisions of before by then", async () => {
  scene = await Scene.begin()
  const { writer, ear, gate, store } = await cutOff(scene)
  const snapshot = join(scene.directory, "snapshot")
  await scene.cluster.snapshot(snapshot)
  gate.open()
  await put(writer, "/h/a", "lost")
  await ear.hears("/h/a", "lost")
  gate.close()
  await putBack(scene, snapshot)
  // Other keys, and as many: revisions alone tell nothing.
  const other = scene.store()
  for (let n = 0; n < 20; n++) await put(other, "/other", `${n}`)
  await put(other, "/h/b", "2")
  gate.open()
  await waitFor("the store to be back", () => store.health().reachable || undefined)
  await ear.hears("/h/b", "2")
  expect(Object.fromEntries(ear.state)).toEqual({ "/h/a": "1", "/h/b": "2" })
  expect(ear.listings).toHaveLength(2)
})

test("a presence outlives a store put back", async () => {
  scene = await Scene.begin()
  const snapshot = join(scene.directory, "snapshot")
  await scene.cluster.snapshot(snapshot)
  const store = scene.store()
  const presence = store.present("/p/me", "here", { ttlMs: 2000 })
  await waitFor("the presence", () => store.get("/p/me").catch(() => undefined))
  await putBack(scene, snapshot)
  await waitFor("it again", () => store.get("/p/me").catch(() => undefined))
  presence.close()
})

test("many keys are listed at one revision, page by page", async () => {
  scene = await Scene.begin()
  const writer = scene.store()
  const count = 12_000
  for (let n = 0; n < count; n += 120) {
    const writes = Array.from({ length: 120 }, (_, k) => ({
      key: `/many/${String(n + k).padStart(6, "0")}`,
      value: `value ${n + k}`,
    }))
    await writer.commit([], writes)
  }
  const begun = performance.now()
  const listing = writer.list("/many/")
  // Written while it is read: not in it.
  const late = put(scene.store(), "/many/999999", "late")
  const { entries, revision } = await listing
  console.log(`${count} keys listed in ${Math.round(performance.now() - begun)} ms`)
  const seen = entries.filter(({ key }) => key !== "/many/999999")
  expect(seen).toHaveLength(count)
  expect(new Set(seen.map(({ key }) => key)).size).toBe(count)
  expect(entries.length === count).toBe((await late) > revision)
})
