import { expect, test } from "bun:test"
import { MemoryStore } from "../../../../test/cluster_model/memory_store.ts"
import { Keyspace } from "../../../cluster/records/keyspace.ts"
import type { Network } from "../../../config/network.ts"
import type { Driver } from "../../../drivers/driver.ts"
import { LariatError } from "../../../errors.ts"
import { Health } from "../../health.ts"
import type { ManagedNetwork } from "../../networks/networks.ts"
import { StateDatabase } from "../../state/state_database.ts"
import { ClusterState } from "../state/cluster_state.ts"
import { OverlayNetworks } from "./overlay_networks.ts"
import { Overlays } from "./overlays.ts"

/** Networks by name; those of this host alone begin with `own`. */
function world(names: string[]) {
  const store = new MemoryStore()
  const health = new Health()
  const memory = new ClusterState(StateDatabase.open(":memory:", { bootId: "b" }), "edge")
  const overlays = new Overlays(health)
  const done: string[] = []
  const broken = new Set<string>()
  const networks = new OverlayNetworks({
    store,
    keys: new Keyspace("edge"),
    memory,
    overlays,
    health,
    networks: () =>
      names.map((name) => {
        const configured = { name } as unknown as Network
        return { name, leased: !name.startsWith("own"), configured } as unknown as ManagedNetwork
      }),
    open: ({ name }, number) => {
      if (broken.has(name)) throw new LariatError("no key", { code: "config-invalid", hint: "h" })
      done.push(`open ${name} ${number}`)
      return {
        kind: "vxlan",
        remove: () => done.push(`remove ${name}`),
        close: () => done.push(`close ${name}`),
      } as unknown as Driver
    },
    onOpened: (name) => done.push(`opened ${name}`),
  })
  return { store, health, networks, names, done, broken, memory, overlays }
}

test("each network that reaches other hosts gets a number and a driver, once", async () => {
  const { networks, done, store } = world(["a", "own", "b"])
  expect(networks.all().map(({ name }) => name)).toEqual(["a", "b"])
  await networks.open()
  expect(done).toEqual(["open a 0", "opened a", "open b 1", "opened b"])
  expect(networks.keyed()).toEqual([])
  // What is known needs no store.
  store.away = true
  await networks.open()
  expect(done).toHaveLength(4)
})

test("a network that is gone takes its driver along", async () => {
  const { networks, done, names, overlays } = world(["a", "b"])
  await networks.open()
  names.splice(0, 1)
  await networks.open()
  expect(done.slice(4)).toEqual(["remove a", "close a"])
  expect(overlays.all().map(({ network }) => network)).toEqual(["b"])
})

test("a driver that cannot be opened is told and tried again, and the others go on", async () => {
  const { networks, done, health, broken } = world(["a", "b"])
  broken.add("a")
  await networks.open()
  expect(done).toEqual(["open b 1", "opened b"])
  expect(health.problems()).toEqual([{ severity: "error", what: "no key", hint: "h" }])
  broken.clear()
  await networks.open()
  expect(done.slice(2)).toEqual(["open a 0", "opened a"])
  expect(health.problems()).toEqual([])
})

test("a network without number waits for the store", async () => {
  const { networks, store, done } = world(["a"])
  store.away = true
  await expect(networks.open()).rejects.toMatchObject({ code: "store-away" })
  expect(done).toEqual([])
})
