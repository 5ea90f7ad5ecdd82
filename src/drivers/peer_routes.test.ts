import { describe, expect, test } from "bun:test"
import { checkOwnAddresses, peerPrefixes, routesVia } from "./peer_routes.ts"

/** The network of the tests is 10.42.0.0/16 and fd00:42::/48. */
const contains = (prefix: string) => /^(10\.42\.|fd00:42:)/.test(prefix)

describe("peerPrefixes", () => {
  test("blocks, and own addresses outside them; host bits are cleared, doubles are one", () => {
    const peer = {
      blocks: ["10.42.2.7/24", "10.42.2.0/24"],
      overlay: ["10.42.2.254", "10.42.9.1", "fd00:42::1"],
    }
    expect(peerPrefixes(peer, contains)).toEqual({
      prefixes: ["10.42.2.0/24", "10.42.9.1/32", "fd00:42::1/128"],
      reason: undefined,
    })
  })

  test("what is outside the network is named and left out", () => {
    const peer = { blocks: ["0.0.0.0/0", "10.42.2.0/24", "192.168.0.0/16"], overlay: ["8.8.8.8"] }
    expect(peerPrefixes(peer, contains)).toEqual({
      prefixes: ["10.42.2.0/24"],
      reason: "its block 0.0.0.0/0 is outside the network, and not routed",
    })
  })
})

describe("routesVia", () => {
  test("prefixes of a family without a hop say why", () => {
    const prefixes = ["10.42.2.0/24", "fd00:42::/64"]
    const hops = { 4: { index: 7, via: "10.42.2.254" }, 6: "it has no IPv6" }
    expect(routesVia({ prefixes, reason: undefined }, hops)).toEqual({
      routes: [{ index: 7, via: "10.42.2.254", dst: "10.42.2.0/24" }],
      reason: "it has no IPv6",
    })
    expect(routesVia({ prefixes, reason: "first" }, hops).reason).toBe("first")
    expect(routesVia({ prefixes: [], reason: undefined }, hops).reason).toBeUndefined()
  })
})

test("an own address outside the network is refused, with the network's subnets", () => {
  const self = { hostId: "a", underlay: [], overlay: ["10.42.1.1", "10.43.1.1"], blocks: [] }
  const network = {
    ...{ name: "managed", number: 0, underlayMtu: 1500 },
    subnets: ["10.42.0.0/16"],
  }
  expect(() => checkOwnAddresses(self, network, { contains })).toThrow(
    "Cannot give this host address 10.43.1.1 on network managed: it is outside 10.42.0.0/16",
  )
  checkOwnAddresses({ ...self, overlay: ["10.42.1.1"] }, network, { contains })
})
