import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { peek } from "../../cluster/records/envelope.ts"
import { HostIdentity } from "../../cluster/records/identity.ts"
import { Keyspace } from "../../cluster/records/keyspace.ts"
import { defaultAgentSettings } from "../../config/agent_settings.ts"
import type { Driver } from "../../drivers/driver.ts"
import { StateDatabase } from "../state/state_database.ts"
import { hostRecord, OwnRecord } from "./own_record.ts"
import { Signer } from "./signer.ts"
import { ClusterState } from "./state/cluster_state.ts"

const keys = new Keyspace("edge")
const settings = { ...defaultAgentSettings(), hostLabels: { rack: "1" } }
const host = { uuid: "h1", name: "edge-1", ip: "192.0.2.1", addresses: ["192.0.2.1"] }
const driver = { kind: "vxlan", parameters: { mac: "02:00:00:00:00:01" } } as unknown as Driver
const record = hostRecord(
  { host, settings },
  { all: () => [{ network: "n", driver }] },
  { overlay: () => ["10.42.0.254"] },
  () => ({ port: "4500" }),
)

function ownRecord() {
  const store = new MemoryStore()
  const identity = HostIdentity.create((length) => Uint8Array.from(randomBytes(length)))
  const memory = new ClusterState(StateDatabase.open(":memory:", { bootId: "b" }), "edge")
  const signer = new Signer(memory, "h1", { identity, psk: undefined })
  return { store, own: new OwnRecord(store, keys, "h1", signer) }
}

test("a host says its addresses, labels, and its part in each network", () => {
  expect(record).toEqual({
    name: "edge-1",
    underlay: ["192.0.2.1"],
    labels: { rack: "1" },
    networks: {
      n: {
        driver: "vxlan",
        overlay: ["10.42.0.254"],
        parameters: { mac: "02:00:00:00:00:01", port: "4500" },
      },
    },
  })
})

test("it is written once for each change, and again when it may be gone", async () => {
  const { store, own } = ownRecord()
  await own.publish(record)
  await own.publish({ ...record })
  const commits = () => store.calls.filter((call) => call.startsWith("commit")).length
  expect(commits()).toBe(1)
  expect(peek((await store.get(keys.host("h1")))?.value ?? "")).toMatchObject({
    hostId: "h1",
    body: { name: "edge-1" },
  })
  own.forget()
  await own.publish(record)
  await own.publish({ ...record, name: "renamed" })
  expect(commits()).toBe(3)
})

test("what could not be written is tried again", async () => {
  const { store, own } = ownRecord()
  store.away = true
  await expect(own.publish(record)).rejects.toMatchObject({ code: "store-away" })
  store.away = false
  await own.publish(record)
  expect(await store.get(keys.host("h1"))).toBeDefined()
})
