import { expect, test } from "bun:test"
import { parseNetconf } from "./parse.ts"
import { contradicting, subnetsOfNetconf } from "./subnets.ts"

function poolsOf(keys: object) {
  const { conf, problems } = parseNetconf({
    cniVersion: "1.0.0",
    type: "rancher-bridge",
    name: "n",
    ...keys,
  })
  if (conf === undefined) throw new Error(JSON.stringify(problems))
  return subnetsOfNetconf(conf)
}

test("ranges of ipam come before the bridge's subnets", () => {
  const ipam = { type: "rancher-host-local-ipam", subnet: "10.8.0.0/24", rangeStart: "10.8.0.9" }
  expect(poolsOf({ bridgeSubnet: "10.9.0.0/24", ipam })).toMatchObject([
    { cidr: "10.8.0.0/24", path: ["ipam"], subnet: { start: "10.8.0.9", gateway: "10.8.0.1" } },
  ])
  expect(poolsOf({ bridgeSubnet: "10.9.0.0/24", bridgeIP: "10.9.0.7" })).toMatchObject([
    { cidr: "10.9.0.0/24", path: ["bridgeSubnet"], subnet: { gateway: "10.9.0.7" } },
  ])
  expect(poolsOf({})).toEqual([])
})

test("what is no usable pool says why", () => {
  const [one] = poolsOf({ bridgeSubnet: "10.9.0.0/31" })
  expect(one?.subnet).toBeUndefined()
  expect(one?.problems).toMatchObject([{ severity: "error", path: ["bridgeSubnet"] }])
})

test("a pool contradicts its network only where both have its family and share no address", () => {
  const pools = [{ cidr: "10.42.9.0/24" }, { cidr: "10.43.0.0/16" }, { cidr: "fd00::/64" }]
  expect(contradicting(pools, [{ cidr: "10.42.0.0/16" }])).toEqual([{ cidr: "10.43.0.0/16" }])
  expect(contradicting(pools, [])).toEqual([])
  expect(contradicting(pools, [{ cidr: "10.0.0.0/8" }, { cidr: "fd01::/64" }])).toEqual([
    { cidr: "fd00::/64" },
  ])
})
