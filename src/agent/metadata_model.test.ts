import { expect, test } from "bun:test"
import { isMap, lookup } from "../metadata/lookup.ts"
import { row } from "./endpoint_index.test.ts"
import { EndpointIndex } from "./endpoint_index.ts"
import { Journal } from "./journal.ts"
import { containerName, metadataModel } from "./metadata_model.ts"
import { Networks } from "./networks.ts"

const journal = Journal.open(":memory:", { bootId: "b" })
const networks = new Networks({ journal, clock: () => 0, restMs: 0 })
networks.configure([
  {
    name: "n",
    driverName: "n",
    service: "n",
    driver: "none",
    carriage: {
      cipher: "aes256gcm16",
      udp: "none",
      port: undefined,
      vni: 1042,
      blockSize: undefined,
    },
    subnets: [{ cidr: "10.42.0.0/16", gateway: "10.42.0.1", start: "10.42.0.2", end: "10.42.9.9" }],
    hostPorts: false,
    dns: [],
    dnsSearch: [],
    metadata: {},
    macPrefix: undefined,
    defaultPolicyAction: "allow",
    policy: [],
    cni: [],
    position: { file: "f", line: 1, column: 1 },
  },
])
const index = new EndpointIndex()
const model = metadataModel({
  index,
  networks,
  host: { uuid: "h", name: "edge", ip: "192.0.2.7" },
  hostLabels: { rack: "1" },
  isHostAddress: (address) => address === "192.0.2.7",
})

test("a container sees itself and its host", () => {
  index.put(row("0123456789abcdef"))
  const tree = model.treeFor("10.42.0.2") ?? null
  expect(lookup(tree, ["self", "container", "primary_ip"])).toBe("10.42.0.2")
  expect(lookup(tree, ["self", "container", "name"])).toBe("0123456789ab")
  expect(lookup(tree, ["self", "container", "external_id"])).toBe("0123456789abcdef")
  expect(lookup(tree, ["self", "host", "labels", "rack"])).toBe("1")
})

test("an asker that is no endpoint sees the host alone, a stranger nothing", () => {
  for (const address of ["10.42.3.3", "192.0.2.7"]) {
    const self = lookup(model.treeFor(address) ?? null, ["self"])
    expect(self !== undefined && isMap(self) && Object.keys(self)).toEqual(["host"])
  }
  expect(model.treeFor("198.51.100.1")).toBeUndefined()
})

test("a container is called by its pod, else its alias, else its id", () => {
  const names = { aliases: ["db"], labels: {} }
  expect(containerName(row("0123456789abcdef", { names: { ...names, podName: "web" } }))).toBe(
    "web",
  )
  expect(containerName(row("0123456789abcdef", { names }))).toBe("db")
})
