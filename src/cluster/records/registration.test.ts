import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { errorOf } from "../../../test/cluster/ear.ts"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"
import { openIdentity } from "./identity_record.ts"
import { Keyspace } from "./keyspace.ts"
import { register } from "./registration.ts"

const keys = new Keyspace("edge")

function options(store: MemoryStore, hostId: string, number?: number) {
  const { identity } = new TestHost(hostId, 1, keys)
  return { store, keys, hostId, identity, psk: undefined, number }
}

test("a host has one number, however often it is registered", async () => {
  const store = new MemoryStore()
  const number = await register(options(store, "h1"))
  const { revision } = store
  expect(await register(options(store, "h1"))).toBe(number)
  expect(await register(options(store, "h1", number))).toBe(number)
  expect(store.revision).toBe(revision)
  expect((await store.get(keys.number(number)))?.value).toBe("h1")
  const text = (await store.get(keys.identity("h1")))?.value ?? ""
  const record = openIdentity(text, { key: keys.identity("h1"), hostId: "h1", psk: undefined })
  expect(record.number).toBe(number)
})

test("hosts that come at once have different numbers, though they want the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 6 }), async (scheduler, hosts) => {
      const store = new MemoryStore()
      // Whatever they ask for first, a neighbour has it.
      const first = await register(options(store, "h0"))
      for (let n = 1; n < 4; n++) store.write([{ key: keys.number(first + n), value: `x${n}` }])
      store.turn = () => scheduler.schedule(Promise.resolve())
      const work = Array.from({ length: hosts }, (_, n) => register(options(store, `h${n}`)))
      const numbers = await scheduler.waitFor(Promise.all(work))
      expect(new Set(numbers).size).toBe(hosts)
      store.turn = () => Promise.resolve()
      for (const [n, number] of numbers.entries()) {
        expect((await store.get(keys.number(number)))?.value).toBe(`h${n}`)
      }
    }),
    { numRuns: 50 },
  )
})

test("numbers go round at the end, past those that are taken", async () => {
  const store = new MemoryStore()
  const number = await register(options(store, "h1"))
  const other = new MemoryStore()
  for (let n = number; n < number + 5; n++) {
    other.write([{ key: keys.number(((n - 1) % 65_535) + 1), value: "x" }])
  }
  expect(await register(options(other, "h1"))).toBe(((number + 4) % 65_535) + 1)
})

test("a store that was put back gets the host again, with its number", async () => {
  const store = new MemoryStore()
  const before = store.image()
  const number = await register(options(store, "h1"))
  store.putBack(before)
  expect(await register(options(store, "h1", number))).toBe(number)
  expect((await store.get(keys.number(number)))?.value).toBe("h1")
})

test("a number that is another host's by now is no number for this one", async () => {
  const store = new MemoryStore()
  const other = new TestHost("h2", 77, keys)
  store.write([{ key: keys.number(77), value: "h2" }, other.identityWrite()])
  const error = await errorOf(register(options(store, "h1", 77)))
  expect([error.code, error.message]).toEqual([
    "peer-refused",
    "Cannot register this host: its number 77 is host h2's in the store",
  ])
})

test("a host with another's id is told so", async () => {
  const store = new MemoryStore()
  await register(options(store, "h1"))
  const copy = { ...options(store, "h1"), identity: new TestHost("h1", 2, keys).identity }
  const error = await errorOf(register(copy))
  expect([error.code, error.message]).toEqual([
    "peer-refused",
    "Cannot register this host: the store knows host h1 by another key",
  ])
})

describe("what others wrote in the place of a host that is registered is written over", () => {
  const id = keys.identity("h1")
  test.each<[what: string, key: "identity" | "number", value: string | undefined]>([
    ["its identity, gone", "identity", undefined],
    ["another one's identity", "identity", new TestHost("h1", 2, keys).identityWrite().value],
    ["no identity", "identity", "garbage"],
    ["its number, gone", "number", undefined],
    ["its number, given to one without it", "number", "h2"],
    ["its number, given to what is no host", "number", "../h2"],
  ])("%s", async (_what, place, value) => {
    const store = new MemoryStore()
    const number = await register(options(store, "h1"))
    const [numberKey, text] = [keys.number(number), (await store.get(id))?.value]
    store.write([new TestHost("h2", 99, keys).identityWrite()])
    store.write([{ key: place === "identity" ? id : numberKey, value }])
    expect(await register(options(store, "h1", number))).toBe(number)
    expect((await store.get(id))?.value).toBe(text)
    expect((await store.get(numberKey))?.value).toBe("h1")
  })
})

test("an answer that was lost leaves no half of a host", async () => {
  const store = new MemoryStore()
  store.loseAnswer = true
  expect((await errorOf(register(options(store, "h1")))).code).toBe("store-away")
  const number = await register(options(store, "h1"))
  expect((await store.get(keys.number(number)))?.value).toBe("h1")
  expect((await store.list(`${keys.prefix}numbers/`)).entries).toHaveLength(1)
})
