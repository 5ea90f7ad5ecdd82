import { describe, expect, test } from "bun:test"
import { routeRequests, usesIpv6 } from "./container_batch.ts"

const ADDRESSES = ["10.42.0.2/16", "fd00:42::2/64"]

describe("routeRequests", () => {
  test("routes on the link come before those that need a gateway, else in order", () => {
    const routes = [
      { dst: "0.0.0.0/0", gw: "10.50.0.1" },
      { dst: "10.50.0.0/16" },
      { dst: "10.60.0.0/16", gw: "10.42.0.1" },
      { dst: "10.70.0.0/16" },
    ]
    const order = routeRequests(7, routes, ADDRESSES).map(({ dst }) => dst)
    expect(order).toEqual(["10.50.0.0/16", "10.70.0.0/16", "0.0.0.0/0", "10.60.0.0/16"])
  })

  test("a gateway outside every prefix is on the link, one inside is not", () => {
    const onlink = (gw: string, addresses = ADDRESSES) =>
      routeRequests(7, [{ dst: "0.0.0.0/0", gw }], addresses)[0]?.onlink
    expect(onlink("10.42.0.1")).toBe(false)
    expect(onlink("10.43.0.1")).toBe(true)
    expect(onlink("fd00:42::1")).toBe(false)
    expect(onlink("fd00:43::1")).toBe(true)
    expect(onlink("10.42.0.1", ["10.42.0.2/32"])).toBe(true)
  })

  test("hands everything else on, and marks the route as ours", () => {
    const route = {
      dst: "10.0.0.0/8",
      gw: "10.42.0.1",
      mtu: 1300,
      advmss: 1260,
      priority: 5,
      table: 9,
      scope: 0,
    }
    expect(routeRequests(7, [route], ADDRESSES)).toEqual([
      {
        dst: "10.0.0.0/8",
        gateway: "10.42.0.1",
        mtu: 1300,
        advmss: 1260,
        priority: 5,
        table: 9,
        scope: 0,
        index: 7,
        onlink: false,
        protocol: 4,
      },
    ])
  })

  test("a gateway that is no address is an error", () => {
    expect(() => routeRequests(7, [{ dst: "0.0.0.0/0", gw: "gateway" }], ADDRESSES)).toThrow(
      /Cannot read address/,
    )
  })
})

test("usesIpv6", () => {
  expect(usesIpv6(["10.0.0.1/8"])).toBe(false)
  expect(usesIpv6(ADDRESSES)).toBe(true)
  expect(usesIpv6([])).toBe(false)
})
