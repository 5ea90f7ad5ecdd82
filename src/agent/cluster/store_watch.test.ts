import { expect, test } from "bun:test"
import { waitFor } from "../../../test/clients/program.ts"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { Keyspace } from "../../cluster/records/keyspace.ts"
import { StoreWatch } from "./store_watch.ts"

const keys = new Keyspace("edge")

function fixture(written = new Map<string, string>()) {
  const store = new MemoryStore()
  const heard: string[] = []
  const putBack: string[] = []
  const watch = new StoreWatch({
    store,
    keys,
    host: { uuid: "me", name: "my name" },
    presenceMs: 1000,
    listener: {
      snapshot: ({ entries }) => heard.push(`all ${entries.map(({ key }) => key).join()}`),
      changes: (changes) => heard.push(...changes.map(({ key }) => key)),
    },
    written: () => written,
    putBack: (key) => putBack.push(key),
  })
  return { store, heard, putBack, watch }
}

test("it says that this host is there, and hears what is and what changes, once each", async () => {
  const { store, heard, watch } = fixture()
  watch.begin()
  const alive = keys.alive("me")
  expect((await store.get(alive))?.value).toBe("my name")
  store.deliver()
  store.write([{ key: keys.host("h1"), value: "x" }])
  store.deliver()
  expect(heard.splice(0)).toEqual([`all ${alive}`, keys.host("h1")])
  watch.relist()
  store.deliver()
  store.write([{ key: keys.host("h2"), value: "x" }])
  store.deliver()
  expect(heard).toEqual([`all ${alive},${keys.host("h1")}`, keys.host("h2")])
})

test("an own record that is not as it was written is put back, until it ends", async () => {
  const key = keys.host("me")
  const { store, putBack, watch } = fixture(new Map([[key, "good"]]))
  watch.begin()
  store.write([{ key, value: "bad" }])
  store.deliver()
  await waitFor("the record", () => putBack[0])
  expect(putBack).toEqual([key])
  watch.stop()
})
