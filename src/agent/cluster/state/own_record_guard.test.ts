import { expect, test } from "bun:test"
import { MemoryStore } from "../../../../test/cluster_model/memory_store.ts"
import { Keyspace } from "../../../cluster/records/keyspace.ts"
import { OwnRecordGuard } from "./own_record_guard.ts"

const keys = new Keyspace("edge")
const HOST = keys.host("me")
const ENDPOINT = keys.endpoint("n", "10.42.1.7")

/** A store that is watched, with a clock that the test moves. */
function scene() {
  const store = new MemoryStore()
  const written = new Map<string, string>()
  const put: string[] = []
  const heard: number[] = []
  const timers = new Set<{ at: number; call: () => void }>()
  let now = 0
  const own = new OwnRecordGuard({
    keys,
    next: {
      snapshot: ({ revision }) => heard.push(revision),
      changes: (_changes, revision) => heard.push(revision),
    },
    written: () => written,
    putBack: (key, parsed, revision) => {
      put.push(`${parsed.kind} ${revision}`)
      write(key, `${written.get(key)}'`)
    },
    clock: () => now,
    after: (ms, call) => {
      const timer = { at: now + ms, call }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  })
  store.watch(keys.prefix, own)
  /** As the agent writes. */
  const write = (key: string, value: string) => {
    written.set(key, value)
    store.write([{ key, value }])
    store.deliver()
  }
  const attack = (key: string, value: string | undefined) => {
    store.write([{ key, value }])
    store.deliver()
  }
  const pass = (ms: number) => {
    const until = now + ms
    for (;;) {
      const [next] = [...timers].sort((a, b) => a.at - b.at)
      if (next === undefined || next.at > until) break
      now = next.at
      timers.delete(next)
      next.call()
    }
    now = until
  }
  store.deliver()
  return { store, own, written, put, heard, timers, write, attack, pass }
}

test.each([
  ["gone", undefined],
  ["another one", "forged"],
  ["an older one", "first"],
])("a record that is %s is put back", async (_what, value) => {
  const { store, put, write, attack, pass } = scene()
  write(HOST, "first")
  write(HOST, "second")
  attack(HOST, value)
  expect(put).toEqual([])
  pass(1000)
  expect(put).toEqual(["host 3"])
  expect((await store.get(HOST))?.value).toBe("second'")
  pass(100_000)
  expect(put).toHaveLength(1)
})

test("a write that is heard after the next one is no trouble", () => {
  const { store, written, put, heard, pass, timers } = scene()
  for (const value of ["1", "2", "3"]) {
    written.set(HOST, value)
    store.write([{ key: HOST, value }])
  }
  store.deliver(1)
  store.deliver(1)
  pass(400)
  store.deliver(1)
  pass(100_000)
  expect(put).toEqual([])
  expect(heard).toEqual([0, 1, 2, 3])
  expect(timers.size).toBe(0)
})

test("a record that is not to stand any more, or is nobody's, is left alone", () => {
  const { store, written, put, write, attack, pass } = scene()
  write(ENDPOINT, "mine")
  attack(ENDPOINT, "another host's")
  written.delete(ENDPOINT)
  attack(keys.endpoint("n", "10.42.1.8"), "x")
  store.write([{ key: "/lariat/edge/odd", value: "x" }])
  pass(100_000)
  expect(put).toEqual([])
})

test("what a listing does not have is put back", () => {
  const { store, put, write, pass } = scene()
  const before = store.image()
  write(HOST, "h")
  write(ENDPOINT, "e")
  store.putBack(before)
  store.deliver()
  pass(1000)
  expect(put.sort()).toEqual(["endpoint 0", "host 0"])
})

test("somebody who writes over a record again and again is answered ever more rarely", () => {
  const { put, write, attack, pass } = scene()
  write(HOST, "h")
  write(ENDPOINT, "e")
  for (let second = 0; second < 600; second++) {
    attack(HOST, `war ${second}`)
    pass(1000)
  }
  expect(put.length).toBeGreaterThan(15)
  expect(put.length).toBeLessThan(30)
  put.length = 0
  // Others do not wait for it.
  attack(ENDPOINT, undefined)
  pass(1000)
  expect(put.filter((what) => what.startsWith("endpoint"))).toHaveLength(1)
  // Peace makes the wait short again.
  pass(120_000)
  put.length = 0
  attack(HOST, undefined)
  pass(1000)
  expect(put).toHaveLength(1)
})

test("nothing is put back after the end", () => {
  const { own, put, write, attack, pass, timers } = scene()
  write(HOST, "h")
  attack(HOST, undefined)
  own.stop()
  pass(100_000)
  attack(HOST, "x")
  expect([put, timers.size]).toEqual([[], 0])
})
