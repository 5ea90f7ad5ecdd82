import { expect, test } from "bun:test"
import type { EndpointRow } from "../state/rows.ts"
import { EndpointIndex } from "./endpoint_index.ts"
import { addressOnlySpec, specJson } from "./endpoint_spec.ts"

/** A row with what the index looks at. */
export function row(containerId: string, more: Partial<EndpointRow> = {}): EndpointRow {
  return {
    id: 1,
    network: "n",
    pool: "n",
    containerId,
    ifname: "eth0",
    kind: "port",
    state: "attached",
    netns: undefined,
    hostName: `lrt${containerId}`,
    hostIndex: 7,
    mac: "02:00:00:00:00:01",
    mtu: 1500,
    createdAt: 0,
    bootId: "b",
    names: { aliases: [], labels: {} },
    request: specJson(addressOnlySpec([])),
    result: {},
    addresses: [{ address: "10.42.0.2", prefix: 16, gateway: undefined }],
    ...more,
  }
}

test("an endpoint is found by key, by address and by host link until it is removed", () => {
  const index = new EndpointIndex()
  const one = row("c1")
  index.put(one)
  expect(index.get(one)).toBe(one)
  expect(index.byAddress("10.42.0.2")).toBe(one)
  expect(index.byHostIndex(7)).toBe(one)
  index.remove(one)
  expect(index.attached()).toEqual([])
  expect(index.get(one)).toBeUndefined()
  expect(index.byAddress("10.42.0.2")).toBeUndefined()
  expect(index.byHostIndex(7)).toBeUndefined()
})

test("an adopted interface is found by its other addresses, and its link is not ours", () => {
  const index = new EndpointIndex()
  const one = row("c1", { kind: "adopted", result: { foreignAddresses: ["172.17.0.2"] } })
  index.put(one)
  expect(index.byAddress("172.17.0.2")).toBe(one)
  expect(index.byHostIndex(7)).toBeUndefined()
})

test("putting a changed row drops what the old one was found by", () => {
  const index = new EndpointIndex()
  index.put(row("c1"))
  index.put(row("c1", { hostIndex: 8, addresses: [] }))
  expect(index.byHostIndex(7)).toBeUndefined()
  expect(index.byAddress("10.42.0.2")).toBeUndefined()
  expect(index.byHostIndex(8)).toBeDefined()
})

test("removing one leaves what has taken over its address alone", () => {
  const index = new EndpointIndex()
  const [old, young] = [row("c1"), row("c2", { hostIndex: 8 })]
  index.put(old)
  index.put(young)
  index.remove(old)
  expect(index.byAddress("10.42.0.2")).toBe(young)
})

test("work on an endpoint is pending until it ends, also when it fails", async () => {
  const index = new EndpointIndex()
  const key = row("c1")
  let fail: (error: Error) => void = () => {}
  const work = index.track(
    key,
    new Promise<void>((_, reject) => {
      fail = reject
    }),
  )
  expect(index.pending(key)).toBe(work)
  fail(new Error("x"))
  await expect(work).rejects.toThrow("x")
  expect(index.pending(key)).toBeUndefined()
})

test("an endpoint that is being detached is known by its key alone", () => {
  const index = new EndpointIndex()
  index.put(row("c1"))
  index.put(row("c1", { state: "detaching" }))
  expect(index.get(row("c1"))?.state).toBe("detaching")
  expect(index.attached()).toEqual([])
  expect(index.byAddress("10.42.0.2")).toBeUndefined()
  expect(index.byHostIndex(7)).toBeUndefined()
})

test("who adopted an interface is known by namespace and name", () => {
  const index = new EndpointIndex()
  const netns = { path: "/run/netns/c1", dev: 4n, ino: 77n }
  const one = row("c1", { kind: "adopted", netns })
  index.put(one)
  index.put(row("c2", { netns: { ...netns, ino: 78n }, hostIndex: 8 }))
  expect(index.adopter(netns, "eth0")).toBe(one)
  expect(index.adopter(netns, "eth1")).toBeUndefined()
  expect(index.adopter({ dev: 4n, ino: 78n }, "eth0")).toBeUndefined()
})

test("a network that is called otherwise keeps its endpoints", () => {
  const index = new EndpointIndex()
  index.put(row("c1"))
  index.put(row("c2", { pool: "other" }))
  index.rename(new Map([["n", "m"]]))
  expect(
    index
      .attached()
      .map(({ network, pool }) => `${network} ${pool}`)
      .sort(),
  ).toEqual(["n m", "n other"])
})

test("an attach is known until it ends, however it ends", async () => {
  const index = new EndpointIndex()
  const key = row("c1")
  const work = Promise.withResolvers<void>()
  const tracked = index.trackAttach(key, work.promise)
  expect(index.attaching(key)).toBe(tracked)
  work.reject(new Error("no room"))
  await expect(tracked).rejects.toThrow("no room")
  expect(index.attaching(key)).toBeUndefined()
})
