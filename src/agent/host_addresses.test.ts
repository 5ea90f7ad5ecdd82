import { expect, test } from "bun:test"
import type { RouteInfo } from "../netlink/route/route.ts"
import { Health } from "./health.ts"
import { type HostWatch, lookAtHost, sourceAddress } from "./host_addresses.ts"

function watched(addresses: string[][]) {
  const health = new Health()
  const told: string[] = []
  let now: readonly string[] = addresses.shift() ?? []
  let hasRoute = now.length > 0
  const host = {
    ...{ uuid: "h", name: "edge", ip: undefined },
    get addresses() {
      return now
    },
    get hasRoute() {
      return hasRoute
    },
    look() {
      const next = addresses.shift() ?? now
      hasRoute = next.length > 0
      const isMoved = hasRoute && next.join() !== now.join()
      if (isMoved) now = next
      return isMoved
    },
  }
  const watch = {
    ...{ host, health, log: { info: () => {} } },
    metadata: { ownHost: () => told.push("metadata") },
    cluster: { moved: () => told.push("cluster") },
  } as unknown as HostWatch
  const look = () => {
    lookAtHost(watch)
    return { told: told.splice(0), problems: health.problems().map(({ what }) => what) }
  }
  return { look, watch }
}

test("who is concerned is told of a new address, and status of none", () => {
  const { look } = watched([[], [], ["192.0.2.1"], ["192.0.2.1"], [], ["192.0.2.2"]])
  const moved = { told: ["metadata", "cluster"], problems: [] }
  expect(look()).toEqual({
    told: [],
    problems: ["this host has no address that leads to other hosts yet"],
  })
  expect(look()).toEqual(moved)
  expect(look()).toEqual({ told: [], problems: [] })
  expect(look().problems).toEqual([
    "no route leads to other hosts: 192.0.2.1 is kept until there is another address",
  ])
  expect(look()).toEqual(moved)
})

test("a kernel that does not answer is a problem until it does, and nobody's end", () => {
  const { look, watch } = watched([["192.0.2.1"]])
  const failing = {
    ...watch,
    host: {
      ...watch.host,
      look: () => {
        throw new Error("no buffer space")
      },
    },
  }
  lookAtHost(failing)
  expect(watch.health.problems()).toMatchObject([
    { what: expect.stringMatching(/where other hosts reach this one: no buffer space/) },
  ])
  expect(look().problems).toEqual([])
})

test("a host alone needs no address", () => {
  const { watch } = watched([[]])
  lookAtHost({ ...watch, cluster: undefined })
  expect(watch.health.problems()).toEqual([])
})

test("the source is what others can answer to", () => {
  const by = (preferredSource: string | undefined) => ({
    routeTo: () => (preferredSource === undefined ? undefined : ({ preferredSource } as RouteInfo)),
  })
  const managed = [{ cidr: "10.42.0.0/16" }, { cidr: "fd00:42::/64" }]
  expect(sourceAddress(by("192.0.2.7"), 4, managed)).toBe("192.0.2.7")
  for (const source of [
    undefined,
    "fe80::1",
    "::1",
    "169.254.169.250",
    "10.42.3.1",
    "fd00:42::9",
  ]) {
    expect(sourceAddress(by(source), 6, managed)).toBeUndefined()
  }
})
