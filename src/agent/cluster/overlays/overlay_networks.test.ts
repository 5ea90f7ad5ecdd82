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
import { Retries } from "./retries.ts"

/** Networks by name; those of this host alone begin with `own`. */
function fixture(names: string[]) {
  const store = new MemoryStore()
  const health = new Health()
  const memory = new ClusterState(StateDatabase.open(":memory:", { bootId: "b" }), "edge")
  const due = new Set<() => void>()
  const after = (_ms: number, call: () => void) => {
    due.add(call)
    return () => due.delete(call)
  }
  const retries = new Retries({ health, after })
  const overlays = new Overlays(health, retries)
  const done: string[] = []
  const swept: string[][] = []
  const broken = new Set<string>()
  const networks = new OverlayNetworks({
    store,
    keys: new Keyspace("edge"),
    memory,
    overlays,
    retries,
    networks: () =>
      names.map((name) => {
        const configured = { name, driver: "vxlan", encapsulation: {} } as unknown as Network
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
    onGone: (name) => done.push(`gone ${name}`),
    sweep: (kept) => swept.push([...kept]),
  })
  /** Ends the waits. */
  const wait = async () => {
    const calls = [...due]
    due.clear()
    for (const call of calls) call()
    await Bun.sleep(0)
  }
  return { store, health, networks, retries, names, done, swept, broken, overlays, due, wait }
}

test("each network that reaches other hosts gets a number and a driver, once", async () => {
  const { networks, done, store } = fixture(["a", "own", "b"])
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
  const { networks, done, names, overlays, swept } = fixture(["a", "b"])
  await networks.open()
  names.splice(0, 1)
  await networks.open()
  expect(done.slice(4)).toEqual(["remove a", "close a", "gone a"])
  expect(swept.at(-1)).toEqual(["b"])
  expect(overlays.all().map(({ network }) => network)).toEqual(["b"])
})

test("a driver that cannot be opened is told and tried again, and the others go on", async () => {
  const { networks, done, health, broken, due, wait } = fixture(["a", "b"])
  broken.add("a")
  await networks.open()
  expect(done).toEqual(["open b 1", "opened b"])
  const what = "network a does not reach other hosts as it should: no key"
  expect(health.problems()).toEqual([{ severity: "error", what, hint: "h" }])
  await wait()
  expect(health.problems()).toHaveLength(1)
  broken.clear()
  await wait()
  expect(due.size).toBe(0)
  expect(done.slice(2)).toEqual(["open a 0", "opened a"])
  expect(health.problems()).toEqual([])
})

test("a network without number waits for the store, and who closes ends that", async () => {
  const { networks, store, done, health, wait, due, retries } = fixture(["a"])
  store.away = true
  await networks.open()
  expect(health.problems()).toHaveLength(1)
  await wait()
  expect(done).toEqual([])
  store.away = false
  await wait()
  expect(done).toEqual(["open a 0", "opened a"])
  expect(health.problems()).toEqual([])
  networks.close()
  retries.close()
  expect(due.size).toBe(0)
})

test("who asks while a network is opened waits for the same attempt; closed meanwhile it is none", async () => {
  const { networks, done } = fixture(["a"])
  await Promise.all([networks.open(), networks.open()])
  expect(done).toEqual(["open a 0", "opened a"])
  const closed = fixture(["a"])
  const opening = closed.networks.open()
  closed.networks.close()
  await opening
  expect(closed.done).toEqual([])
})

test("a network that is gone before it could be opened is no problem any more", async () => {
  const { networks, names, broken, health, due } = fixture(["a"])
  broken.add("a")
  await networks.open()
  names.splice(0, 1)
  await networks.open()
  expect(health.problems()).toEqual([])
  expect(due.size).toBe(0)
})
