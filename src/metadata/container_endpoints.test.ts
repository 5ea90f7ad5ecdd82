import { expect, test } from "bun:test"
import fc from "fast-check"
import { ContainerEndpoints } from "./container_endpoints.ts"
import type { FedContainer } from "./feed.ts"

function endpoint(uuid: string, address: string, more: Partial<FedContainer> = {}): FedContainer {
  return {
    ...{ uuid, name: uuid, externalId: uuid, labels: {}, addresses: [address], mac: "m" },
    ...{ hostUuid: "self", hostIp: undefined, networkUuid: "n", createIndex: 1 },
    ...{ dns: [], dnsSearch: [] },
    ...more,
  }
}

function containers() {
  const shown = new Map<string, FedContainer>()
  const endpoints = new ContainerEndpoints({
    selfHost: "self",
    uuidFrom: (text) => `(${text})`,
    sink: {
      put: (container) => void shown.set(container.uuid, container),
      remove: (uuid) => void shown.delete(uuid),
    },
  })
  const addresses = () =>
    Object.fromEntries([...shown].map(([uuid, container]) => [uuid, container.addresses]))
  return { endpoints, shown, addresses }
}

test("two interfaces are one container, the older one's address first, until both are gone", () => {
  const { endpoints, shown, addresses } = containers()
  const labels = { a: "second", b: "second" }
  endpoints.put("2", endpoint("c", "10.43.0.2", { createIndex: 2, networkUuid: "n2", labels }))
  endpoints.put("1", endpoint("c", "10.42.0.2", { labels: { a: "first" } }))
  expect(addresses()).toEqual({ c: ["10.42.0.2", "10.43.0.2"] })
  expect(shown.get("c")).toMatchObject({ networkUuid: "n", labels: { a: "first", b: "second" } })
  endpoints.remove("1")
  expect(shown.get("c")).toMatchObject({ networkUuid: "n2", addresses: ["10.43.0.2"], labels })
  endpoints.remove("2")
  endpoints.remove("2")
  expect(addresses()).toEqual({})
})

test("another host's record neither replaces nor removes a container", () => {
  const { endpoints, addresses } = containers()
  const other = endpoint("c", "10.42.9.9", { hostUuid: "other" })
  const derived = "(container other/c)"
  endpoints.put("o", other)
  expect(addresses()).toEqual({ c: ["10.42.9.9"] })
  endpoints.put("1", endpoint("c", "10.42.0.2"))
  expect(addresses()).toEqual({ c: ["10.42.0.2"], [derived]: ["10.42.9.9"] })
  endpoints.remove("o")
  expect(addresses()).toEqual({ c: ["10.42.0.2"] })
  endpoints.put("o", other)
  expect(addresses()).toEqual({ c: ["10.42.0.2"], [derived]: ["10.42.9.9"] })
  endpoints.remove("1")
  expect(addresses()).toEqual({ c: ["10.42.9.9"] })
})

test("an endpoint that becomes another container's leaves the first", () => {
  const { endpoints, addresses } = containers()
  endpoints.put("1", endpoint("c", "10.42.0.2"))
  endpoints.put("1", endpoint("d", "10.42.0.2"))
  expect(addresses()).toEqual({ d: ["10.42.0.2"] })
})

test("whatever comes and goes, each endpoint is shown once, with its own host's", () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 7 }),
    uuid: fc.constantFrom("a", "b"),
    host: fc.constantFrom("self", "x", "y"),
    isPut: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { endpoints, shown } = containers()
      const there = new Map<string, FedContainer>()
      for (const { key, uuid, host, isPut } of steps) {
        const name = `${key}`
        const one = endpoint(uuid, `10.42.0.${key}`, { hostUuid: host, createIndex: key })
        if (isPut) there.set(name, one)
        else there.delete(name)
        if (isPut) endpoints.put(name, one)
        else endpoints.remove(name)
      }
      const groups = Map.groupBy(there.values(), ({ uuid, hostUuid }) => `${hostUuid}/${uuid}`)
      const sets = (all: Iterable<readonly string[]>) => [...all].map((list) => list.join()).sort()
      expect(sets([...shown.values()].map(({ addresses }) => addresses.toSorted()))).toEqual(
        sets([...groups.values()].map((list) => list.flatMap((one) => one.addresses).toSorted())),
      )
      for (const [uuid, { hostUuid }] of shown) {
        if (there.values().some((one) => one.uuid === uuid && one.hostUuid === "self")) {
          expect(hostUuid).toBe("self")
        }
      }
    }),
  )
})
