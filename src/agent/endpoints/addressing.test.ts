import { expect, test } from "bun:test"
import { Allocator } from "../../ipam/allocator.ts"
import type { AttachRequest } from "../networks/attach_request.ts"
import type { ManagedNetwork } from "../networks/networks.ts"
import {
  bridgeAddresses,
  endpointRoutes,
  type GivenAddress,
  takeAddresses,
  withGateways,
} from "./addressing.ts"

const base: AttachRequest = {
  network: "n",
  containerId: "c",
  ifname: "eth0",
  netnsPath: "/x",
  allowOwnNetns: false,
  pool: undefined,
  requested: [],
  given: [{ address: "10.9.0.5/24" }, { address: "fd00::5/64" }],
  prefixLength: undefined,
  mac: undefined,
  bridge: { name: "b0", promisc: false, configureIp: true, mtu: 1500, addresses: [] },
  gateway: "default",
  bridgeIpAsGateway: false,
  hairpin: false,
  mtu: 1500,
  masquerade: false,
  antiSpoofing: true,
  hostNat: [],
  routes: [],
  names: { aliases: [], labels: {} },
  kept: { portMappings: [], bandwidth: undefined },
}

function gateways(request: AttachRequest, onBridge: string[] = []): GivenAddress[] {
  return withGateways(takeAddresses(request), request, onBridge)
}

test("without a gateway from IPAM it is the first address of the subnet", () => {
  expect(gateways(base).map(({ gateway }) => gateway)).toEqual(["10.9.0.1", "fd00::1"])
})

test("isGateway absent means no gateway, no default route, no bridge address", () => {
  const request: AttachRequest = { ...base, gateway: "none" }
  const given = gateways(request)
  expect(given.map(({ gateway }) => gateway)).toEqual([undefined, undefined])
  expect(endpointRoutes(given, request)).toEqual([])
  expect(bridgeAddresses(given, request)).toEqual([])
})

test("useBridgeIPAsGateway takes the first address of the family on the bridge", () => {
  const request = { ...base, bridgeIpAsGateway: true }
  const given = gateways(request, ["172.17.0.1/16", "10.9.0.1/24", "fd00::9/64"])
  expect(given.map(({ gateway }) => gateway)).toEqual(["172.17.0.1", "fd00::9"])
  expect(bridgeAddresses(given, request)).toEqual([])
})

test("the gateways go on the bridge, unless it must not be configured", () => {
  expect(bridgeAddresses(gateways(base), base)).toEqual(["10.9.0.1/24", "fd00::1/64"])
  const request = { ...base, bridge: { ...base.bridge, configureIp: false } }
  expect(bridgeAddresses(gateways(request), request)).toEqual([])
})

test("configured routes get the gateway as next hop; default routes are added once", () => {
  const request = {
    ...base,
    routes: [{ dst: "192.0.2.7/24" }, { dst: "0.0.0.0/0", gw: "10.9.0.1" }],
  }
  expect(endpointRoutes(gateways(request), request)).toEqual([
    { dst: "192.0.2.0/24", gw: "10.9.0.1" },
    { dst: "0.0.0.0/0", gw: "10.9.0.1" },
    { dst: "::/0", gw: "fd00::1" },
  ])
})

test("a default route of IPAM with another next hop is refused", () => {
  const request = { ...base, routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.2" }] }
  expect(() => endpointRoutes(gateways(request), request)).toThrow("already sends 0.0.0.0/0")
})

test("an IPv6 address of leased blocks is alone on its link, and all of its network by the gateway", () => {
  const allocator = new Allocator({
    network: "n",
    subnets: [{ cidr: "fd00::/64", gateway: "fd00::1", start: "fd00::2", end: "fd00::ff" }],
    restMs: 0,
    clock: () => 0,
  })
  const pool = { leased: true, allocator } as unknown as ManagedNetwork
  const request: AttachRequest = { ...base, pool, gateway: "gateway" }
  const given = gateways(request)
  expect(given).toMatchObject([{ address: "fd00::2", prefix: 128, gatewayPrefix: 64 }])
  expect(endpointRoutes(given, request)).toEqual([{ dst: "fd00::/64", gw: "fd00::1" }])
  expect(bridgeAddresses(given, request)).toEqual(["fd00::1/64"])
  // Without a gateway there is no way but the link.
  expect(gateways({ ...request, gateway: "none" })).toMatchObject([{ prefix: 64 }])
})
