/** The kinds of network that Rancher's drivers of one host made: two containers, metadata and DNS. */
import { afterEach, describe, expect, test } from "bun:test"
import { run } from "../clients/program.ts"
import { attached, expectNothingLeft, getMetadata, removed } from "./container.ts"
import { askFrom, dataOf } from "./dns_client.ts"
import { routesOf } from "./kernel_view.ts"
import { type Conf, ipIn, Lab, pings } from "./lab.ts"
import { yamlFile } from "./networks.ts"

let lab: Lab | undefined
afterEach(() => lab?.close())

const named = (conf: Conf, name: string) => ({ conf, args: `IgnoreUnknown=1;K8S_POD_NAME=${name}` })

/** Two containers that reach each other, and what the host serves. */
async function expectNetwork(host: Lab, conf: Conf): Promise<readonly string[]> {
  const one = await attached(host, "one", named(conf, "one"))
  const two = await attached(host, "two", named(conf, "two"))
  expect(await pings("one", two.address)).toBe(true)
  expect((await getMetadata("one", "/latest/self/container/name")).body).toBe("one")
  expect(dataOf(await askFrom("two", "one.rancher.internal"))).toEqual([one.address])
  return [one.address, two.address]
}

async function takeDown(host: Lab, conf: Conf): Promise<void> {
  for (const id of ["one", "two"]) await removed(host, id, { conf })
  await expectNothingLeft(host)
}

describe("per-host-subnet", () => {
  const LABEL = "io.rancher.network.per_host_subnet"
  const yaml = yamlFile(`
driver:
  network_driver:
    name: Rancher Per Host Subnet
    default_network: {name: per-host-subnet, dns: [169.254.169.250]}
    cni_config:
      10-per-host-subnet.conf:
        name: per-host-subnet-network
        type: rancher-bridge
        bridge: perhost0
        bridgeSubnet: '__host_label__: ${LABEL}.subnet'
        isDefaultGateway: true
        hostNat: true
        ipam:
          type: rancher-host-local-ipam
          subnet: '__host_label__: ${LABEL}.subnet'
          rangeStart: '__host_label__: ${LABEL}.range_start'
          rangeEnd: '__host_label__: ${LABEL}.range_end'
`)
  const labels = {
    [`${LABEL}.subnet`]: "192.168.77.0/24",
    [`${LABEL}.range_start`]: "192.168.77.10",
    [`${LABEL}.range_end`]: "192.168.77.20",
  }

  test("takes its pool from labels of the host", async () => {
    const hostLabels = JSON.stringify(labels)
    lab = await Lab.start({
      configs: [yaml],
      settings: { createBridge: "always", quarantine: "1s", hostLabels },
    })
    const conf = {
      ...{ cniVersion: "0.2.0", name: "per-host-subnet-network", type: "rancher-bridge" },
      ...{ bridge: "perhost0", bridgeSubnet: "192.168.77.0/24", isDefaultGateway: true },
      ipam: { type: "rancher-host-local-ipam", subnet: "192.168.77.0/24" },
    }
    expect(await expectNetwork(lab, conf)).toEqual(["192.168.77.10", "192.168.77.11"])
    const [network] = (await lab.status()).networks
    expect(network).toMatchObject({ name: "per-host-subnet" })
    expect(network?.subnets[0]).toMatchObject({ cidr: "192.168.77.0/24", size: 11 })
    await takeDown(lab, conf)
  })
})

describe("l2-flat", () => {
  const yaml = yamlFile(`
driver:
  network_driver:
    name: Rancher Flat Networking
    default_network:
      name: l2-flat
      subnets: [{network_address: 192.168.78.0/24, start_address: 192.168.78.50, end_address: 192.168.78.99}]
    cni_config:
      10-flat.conf:
        name: rancher-flat-network
        type: rancher-bridge
        bridge: flat0
        bridgeSubnet: 192.168.78.0/24
        skipBridgeConfigureIP: true
        ipam:
          type: rancher-flat-ipam
          routes: [{dst: 0.0.0.0/0, gw: 192.168.78.1}]
`)

  test("has an outside router, and reaches this host's services past it", async () => {
    await run(["ip", "link", "add", "flat0", "up", "type", "bridge"])
    await run(["ip", "address", "add", "192.168.78.20/24", "dev", "flat0"])
    await run(["ip", "netns", "add", "router"])
    await run(["ip", "link", "add", "lan", "type", "veth", "peer", "eth0", "netns", "router"])
    await run(["ip", "link", "set", "lan", "master", "flat0", "up"])
    await ipIn("router", "address", "add", "192.168.78.1/24", "dev", "eth0")
    await ipIn("router", "link", "set", "eth0", "up")
    lab = await Lab.start({ configs: [yaml], settings: { quarantine: "1s" } })
    const conf = {
      ...{ cniVersion: "0.2.0", name: "rancher-flat-network", type: "rancher-bridge" },
      ...{ bridge: "flat0", bridgeSubnet: "192.168.78.0/24", skipBridgeConfigureIP: true },
      ipam: { type: "rancher-flat-ipam", routes: [{ dst: "0.0.0.0/0", gw: "192.168.78.1" }] },
    }
    expect(await expectNetwork(lab, conf)).toEqual(["192.168.78.50", "192.168.78.51"])
    expect(await pings("one", "192.168.78.1")).toBe(true)
    expect(await routesOf("one")).toContainEqual(
      expect.objectContaining({ dst: "169.254.169.250", gateway: "192.168.78.20" }),
    )
    await takeDown(lab, conf)
    await run(["ip", "netns", "delete", "router"])
    await run(["ip", "link", "delete", "flat0"])
  })
})
