/** Each kind of file in Rancher's catalogue, on one host: as it stands there, so it runs. */
import { afterEach, expect, test } from "bun:test"
import { run } from "../clients/program.ts"
import { attached, type Container, expectNothingLeft, removed } from "./container.ts"
import { driverFile, expectReach, type Reachable } from "./driver_file.ts"
import { routesOf } from "./kernel_view.ts"
import { type Conf, ipIn, Lab, pings } from "./lab.ts"
import { yamlFile } from "./networks.ts"

const SETTINGS = { createBridge: "always", quarantine: "1s" }

let lab: Lab | undefined
afterEach(() => lab?.close())

const reachable = ({ id, address }: Container): Reachable => ({ id, netns: id, address })

/** @returns the addresses of two containers for which everything holds */
async function expectNetwork(host: Lab, conf: Conf): Promise<readonly string[]> {
  const one = await attached(host, "one", { conf })
  const two = await attached(host, "two", { conf })
  await expectReach(reachable(one), reachable(two))
  return [one.address, two.address]
}

async function takeDown(host: Lab, conf: Conf): Promise<void> {
  for (const id of ["one", "two"]) await removed(host, id, { conf })
  await expectNothingLeft(host)
}

test.each(["vxlan", "ipsec"])("%s", async (kind) => {
  const { yaml, conf } = driverFile(kind)
  lab = await Lab.start({ configs: [yamlFile(yaml)], settings: SETTINGS })
  expect(await expectNetwork(lab, conf)).toEqual(["10.42.0.2", "10.42.0.3"])
  expect((await lab.status()).networks).toMatchObject([{ name: kind, driver: kind }])
  await takeDown(lab, conf)
})

test("per-host-subnet takes its pool from labels of the host", async () => {
  const label = "io.rancher.network.per_host_subnet"
  const labels = {
    [`${label}.subnet`]: "192.168.77.0/24",
    [`${label}.range_start`]: "192.168.77.10",
    [`${label}.range_end`]: "192.168.77.20",
  }
  const { yaml, conf } = driverFile("per-host-subnet", labels)
  const settings = { ...SETTINGS, hostLabels: JSON.stringify(labels) }
  lab = await Lab.start({ configs: [yamlFile(yaml)], settings })
  expect(await expectNetwork(lab, conf)).toEqual(["192.168.77.10", "192.168.77.11"])
  const [network] = (await lab.status()).networks
  expect(network).toMatchObject({ name: "per-host-subnet" })
  expect(network?.subnets[0]).toMatchObject({ cidr: "192.168.77.0/24", size: 11 })
  await takeDown(lab, conf)
})

test("l2-flat has an outside router, and reaches this host's services past it", async () => {
  await run(["ip", "link", "add", "flatbr0", "up", "type", "bridge"])
  await run(["ip", "address", "add", "192.168.40.20/24", "dev", "flatbr0"])
  await run(["ip", "netns", "add", "router"])
  await run(["ip", "link", "add", "lan", "type", "veth", "peer", "eth0", "netns", "router"])
  await run(["ip", "link", "set", "lan", "master", "flatbr0", "up"])
  await ipIn("router", "address", "add", "192.168.40.1/24", "dev", "eth0")
  await ipIn("router", "link", "set", "eth0", "up")
  const { yaml, conf } = driverFile("l2-flat")
  lab = await Lab.start({ configs: [yamlFile(yaml)], settings: { quarantine: "1s" } })
  expect(await expectNetwork(lab, conf)).toEqual(["192.168.40.100", "192.168.40.101"])
  expect(await pings("one", "192.168.40.1")).toBe(true)
  expect(await routesOf("one")).toContainEqual(
    expect.objectContaining({ dst: "169.254.169.250", gateway: "192.168.40.20" }),
  )
  await takeDown(lab, conf)
  await run(["ip", "netns", "delete", "router"])
  await run(["ip", "link", "delete", "flatbr0"])
})

test("windows is refused with its reason, and the networks beside it run", async () => {
  const { yaml, conf } = driverFile("windows")
  lab = await Lab.start({ configs: [yamlFile(yaml)], settings: SETTINGS })
  expect(await expectNetwork(lab, conf)).toEqual(["10.54.0.2", "10.54.0.3"])
  await lab.netns("three")
  const foreign = { cniVersion: "1.0.0", type: "rancher-bridge", bridge: "nat0" }
  const refused = [
    { ...foreign, name: "nat" },
    { ...foreign, name: "transparent", bridgeSubnet: "10.55.0.0/16" },
    { ...foreign, name: "nat", ipam: { type: "host-local", subnet: "10.55.0.0/16" } },
  ]
  for (const call of refused) {
    const { status, json } = await lab.plugin("ADD", { id: "three", conf: call })
    expect(status).toBe(1)
    expect(json).toMatchObject({
      code: 7,
      msg: expect.stringContaining(`network ${call.name}: it is for Windows hosts`),
    })
  }
  expect(await run(["ip", "-brief", "link"])).not.toContain("nat0")
  const { networks, foreign: told, problems } = await lab.status()
  expect(networks.map(({ name }) => name)).toEqual(["edge"])
  expect(told.map(({ name }) => name)).toEqual(["nat", "transparent"])
  expect(problems).toEqual([])
  const { stdout } = await lab.lariat("status")
  expect(stdout).toContain("not on this host: nat is for Windows hosts: its kind is nat")
  expect(stdout).toContain("nothing is wrong")
  await lab.deleteNetns("three")
  await takeDown(lab, conf)
})
