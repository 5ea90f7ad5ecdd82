import { expect, test } from "bun:test"
import { driverKindOf } from "./driver_kind.ts"

test.each([
  [["Rancher IPsec", "cni-driver", "ipsec"], "ipsec"],
  [["Rancher VXLAN", "x", "y"], "vxlan"],
  [["Rancher Per Host Subnet", "x", "y"], "routed"],
  [["per_host_subnet"], "routed"],
  [["my-routed-net"], "routed"],
  [["WireGuard"], "wireguard"],
  [["Rancher L2 Flat", "l2-flat", "l2-flat"], "none"],
  [[undefined, "vxlan", "ipsec"], "vxlan"],
  [["custom", "driver", "ipsec"], "ipsec"],
  [[], "none"],
] as const)("%j is %p", (names, kind) => {
  expect(driverKindOf(names)).toBe(kind)
})
