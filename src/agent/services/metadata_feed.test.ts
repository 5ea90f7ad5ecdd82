import { expect, test } from "bun:test"
import { row } from "../networks/endpoint_index.test.ts"
import { EndpointIndex } from "../networks/endpoint_index.ts"
import { Networks } from "../networks/networks.ts"
import { StateDatabase } from "../state/state_database.ts"
import { containerName, containerUuid, MetadataFeed } from "./metadata_feed.ts"

function feeding() {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const networks = new Networks({ stateDatabase, clock: () => 0, restMs: 0 })
  const index = new EndpointIndex()
  const feed = new MetadataFeed({
    index,
    networks,
    host: { uuid: "h", name: "edge", ip: "192.0.2.7", addresses: ["192.0.2.7"] },
    hostLabels: { rack: "1" },
    environment: "default",
  })
  return { index, feed, model: feed.model }
}

test("this host is there from the start", () => {
  const { model } = feeding()
  expect(model.selfHost).toMatchObject({
    name: "edge",
    agent_ip: "192.0.2.7",
    labels: { rack: "1" },
  })
  expect(model.environment?.name).toBe("default")
})

test("a container is there while it is attached", () => {
  const { index, model } = feeding()
  const attached = row("0123456789abcdef")
  index.put({ ...attached, state: "attaching" })
  expect(model.containers).toEqual([])
  index.put(attached)
  expect(model.containerAt("10.42.0.2")).toMatchObject({
    name: "0123456789ab",
    external_id: "0123456789abcdef",
    host_uuid: "h",
  })
  index.put({ ...attached, state: "detaching" })
  expect(model.containers).toEqual([])
  index.put(attached)
  index.remove(attached)
  expect(model.containers).toEqual([])
})

test("one with two interfaces keeps the one that is left", () => {
  const { index, model } = feeding()
  const first = row("c")
  const second = row("c", {
    ...{ id: 2, network: "b", pool: "b", ifname: "eth1" },
    addresses: [{ address: "10.43.0.2", prefix: 16, gateway: "10.43.0.1" }],
  })
  index.put(first)
  index.put(second)
  expect(model.containers).toHaveLength(1)
  expect(model.containers[0]).toMatchObject({ ips: ["10.42.0.2", "10.43.0.2"] })
  index.remove(first)
  expect(model.containerAt("10.43.0.2")).toMatchObject({ primary_ip: "10.43.0.2" })
  expect(model.containerAt("10.42.0.2")).toBeUndefined()
})

test("other hosts come and go", () => {
  const { feed, model } = feeding()
  feed.host({ uuid: "h2", name: "other", ip: undefined, labels: {} })
  expect(model.hosts.map(({ name }) => name)).toEqual(["edge", "other"])
  feed.removeHost("h2")
  expect(model.hosts).toHaveLength(1)
})

test("a container is called by its pod, else its alias, else its id", () => {
  const names = { aliases: ["db"], labels: {} }
  const one = (more: object) => row("0123456789abcdef", { names: { ...names, ...more } })
  expect(containerName(one({ podName: "web" }))).toBe("web")
  expect(containerName(one({}))).toBe("db")
  expect(containerUuid(one({ uuid: "u" }))).toBe("u")
  expect(containerUuid(one({}))).toMatch(/^[0-9a-f]{8}-/)
})
