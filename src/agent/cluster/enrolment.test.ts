import { expect, test } from "bun:test"
import { waitFor } from "../../../test/clients/program.ts"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"
import { Keyspace } from "../../cluster/records/keyspace.ts"
import { StateDatabase } from "../state/state_database.ts"
import { Enrolment } from "./enrolment.ts"
import { Signer } from "./signer.ts"
import { ClusterState } from "./state/cluster_state.ts"

const keys = new Keyspace("edge")

function fixture() {
  const store = new MemoryStore()
  const memory = new ClusterState(StateDatabase.open(":memory:", { bootId: "b" }), "edge")
  const { identity } = new TestHost("me", 1, keys)
  const signer = new Signer(memory, "me", { identity, psk: undefined })
  const failures: unknown[] = []
  const onFailure = (error: unknown) => failures.push(error)
  const common = { store, keys, hostId: "me", identity, psk: undefined, memory, signer, onFailure }
  return { store, signer, failures, make: () => new Enrolment(common) }
}

test("a host gets its number once, is pinned, and its records are to stand", async () => {
  const { store, signer, make } = fixture()
  const first = make()
  expect(first.number).toBeUndefined()
  const number = await first.begin()
  expect([first.number, first.pins.get("me")?.number]).toEqual([number, number])
  for (const [key, value] of signer.written) expect((await store.get(key))?.value).toBe(value)
  expect([...signer.written.keys()]).toEqual([keys.identity("me"), keys.number(number)])
  expect(await make().begin()).toBe(number)
})

test("without the store a new host waits, and one that was registered goes on and tells", async () => {
  const { store, failures, make } = fixture()
  store.away = true
  await expect(make().begin()).rejects.toMatchObject({ code: "store-away" })
  store.away = false
  const number = await make().begin()
  store.away = true
  expect(await make().begin()).toBe(number)
  await waitFor("the failure", () => failures[0])
})

test("a store that forgot the host is told again, and nothing before it has a number", async () => {
  const { store, make } = fixture()
  const before = store.image()
  await make().renew()
  expect(store.listing(keys.prefix).entries).toEqual([])
  const enrolment = make()
  const number = await enrolment.begin()
  store.putBack(before)
  await enrolment.renew()
  expect((await store.get(keys.number(number)))?.value).toBe("me")
})

test("whom it met is known to the next process, containers' sequences aside", async () => {
  const { make } = fixture()
  const enrolment = make()
  const other = new TestHost("other", 7, keys)
  const { pins } = enrolment
  pins.take("other", { publicKey: other.identity.publicKey, number: 7 })
  for (const { key, value } of [other.recordWrite(), other.endpointWrite("10.42.1.7")]) {
    const kind = keys.parse(key)?.kind ?? ""
    pins.verify(value ?? "", { kind, key, hostId: "other", psk: undefined })
  }
  enrolment.savePins()
  const again = make().pins.rows()
  expect(again.pins.map(({ hostId }) => hostId)).toEqual(["other"])
  expect(again.sequences.map(({ key }) => key)).toEqual([keys.host("other")])
})
