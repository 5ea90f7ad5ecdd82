import { expect, test } from "bun:test"
import { parseNetconf } from "../../config/netconf/parse.ts"
import { attachRequest, type NetconfRequestInput } from "./netconf_request.ts"

function input(conf: object, rest: Partial<NetconfRequestInput> = {}): NetconfRequestInput {
  const parsed = parseNetconf({ cniVersion: "1.0.0", name: "n", type: "rancher-bridge", ...conf })
  if (parsed.conf === undefined) throw new Error(JSON.stringify(parsed.problems))
  return {
    conf: parsed.conf,
    env: {
      command: "ADD",
      containerId: "c1",
      netns: "/run/netns/c1",
      ifname: "eth0",
      args: "",
      path: "",
      netnsOverride: false,
    },
    args: {},
    pool: undefined,
    delegated: undefined,
    underlay: 1500,
    ...rest,
  }
}

test("isDefaultGateway implies a gateway, nothing said means none", () => {
  expect(attachRequest(input({})).gateway).toBe("none")
  expect(attachRequest(input({ isGateway: true })).gateway).toBe("gateway")
  expect(attachRequest(input({ isDefaultGateway: true })).gateway).toBe("default")
})

test("LinkMTUOverhead of CNI_ARGS comes first, and only as a number", () => {
  const conf = { mtu: 1500, linkMTUOverhead: 98 }
  expect(attachRequest(input(conf)).mtu).toBe(1402)
  expect(attachRequest(input(conf, { args: { LinkMTUOverhead: "0" } })).mtu).toBe(1500)
  expect(attachRequest(input(conf, { args: { LinkMTUOverhead: "many" } })).mtu).toBe(1402)
})

test("requested addresses: capability ips before CNI_ARGS IPAddress before IP", () => {
  const args = { IPAddress: "10.42.1.1/16", IP: "10.42.1.2" }
  const runtimeConfig = { ips: ["10.42.1.3/16"] }
  expect(attachRequest(input({ runtimeConfig }, { args })).requested).toEqual(["10.42.1.3/16"])
  expect(attachRequest(input({}, { args })).requested).toEqual(["10.42.1.1/16"])
  expect(attachRequest(input({}, { args: { IP: "10.42.1.2" } })).requested).toEqual(["10.42.1.2"])
})

test("the MAC of the capability comes before that of CNI_ARGS", () => {
  const args = { MACAddress: "02:00:00:00:00:01" }
  expect(attachRequest(input({}, { args })).mac).toBe("02:00:00:00:00:01")
  const runtimeConfig = { mac: "02:00:00:00:00:02" }
  expect(attachRequest(input({ runtimeConfig }, { args })).mac).toBe("02:00:00:00:00:02")
})

test("a bridgeIP takes its prefix length from the subnet of its family", () => {
  const conf = { bridgeSubnet: "10.42.0.0/16", bridgeIP: "10.42.0.5" }
  expect(attachRequest(input(conf)).bridge.addresses).toEqual(["10.42.0.5/16"])
  expect(() => attachRequest(input({ bridgeIP: "10.42.0.5" }))).toThrow("no bridgeSubnet")
})
