import { expect, test } from "bun:test"
import { leadsHere, serviceRoutes } from "./service_routes.ts"

const SERVICE = "169.254.169.250"
const DEFAULT = { dst: "0.0.0.0/0", gw: "192.168.1.1" }

test.each([
  [[], [], false],
  [[DEFAULT], ["192.168.1.1"], true],
  [[DEFAULT], ["192.168.1.20"], false],
  [[{ dst: "0.0.0.0/0" }], [], true],
  [[DEFAULT, { dst: "169.254.0.0/16", gw: "192.168.1.9" }], ["192.168.1.1"], false],
  [[DEFAULT, { dst: "169.254.169.250/32", gw: "192.168.1.20" }], ["192.168.1.20"], true],
  [[{ dst: "::/0", gw: "fd00::1" }], ["fd00::1"], false],
] as const)("%j leads to %j: %p", (routes, ours, leads) => {
  expect(leadsHere(SERVICE, routes, (gw) => (ours as readonly string[]).includes(gw))).toBe(leads)
})

test("a service that the default route does not lead to gets a route by this host", () => {
  const container = ["192.168.1.50/24"]
  const own = (routes: readonly object[], ours: readonly string[]) =>
    serviceRoutes([SERVICE, SERVICE], container, routes as [], ours)
  expect(own([DEFAULT], ["10.0.0.1", "192.168.1.20"])).toEqual([
    { dst: `${SERVICE}/32`, gw: "192.168.1.20" },
  ])
  expect(own([], ["192.168.1.20"])).toHaveLength(1)
  // It is reached, or cannot be, or somebody wants it so.
  expect(own([DEFAULT], ["192.168.1.1"])).toEqual([])
  expect(own([DEFAULT], ["10.0.0.1"])).toEqual([])
  expect(own([DEFAULT, { dst: `${SERVICE}/32`, gw: "192.168.1.7" }], ["192.168.1.20"])).toEqual([])
})
