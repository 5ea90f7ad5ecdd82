import { expect, test } from "bun:test"
import { type FedContainer, Feed, membershipOf, searchDomains } from "./feed.ts"
import { Model } from "./model.ts"

const RANCHER = { "io.rancher.stack.name": "Shop", "io.rancher.stack_service.name": "Shop/Web" }
const COMPOSE = { "com.docker.compose.project": "shop", "com.docker.compose.service": "web" }

function container(uuid: string, labels: Record<string, string>): FedContainer {
  return {
    uuid,
    name: `c-${uuid}`,
    externalId: `id-${uuid}`,
    labels,
    addresses: [`10.42.0.${uuid}`],
    mac: undefined,
    hostUuid: "h",
    hostIp: "192.0.2.1",
    networkUuid: "n",
    createIndex: Number(uuid),
    dns: ["169.254.169.250"],
    dnsSearch: ["example.com"],
  }
}

function feeding() {
  const model = new Model()
  return { model, feed: new Feed(model, "env", (text) => `uuid of ${text}`) }
}

test.each([
  [RANCHER, { stack: "Shop", service: "Web" }],
  [COMPOSE, { stack: "shop", service: "web" }],
  [
    { ...COMPOSE, ...RANCHER },
    { stack: "Shop", service: "Web" },
  ],
  [{ "io.rancher.stack_service.name": "s/web/side" }, { stack: "s", service: "side" }],
  [{ "io.rancher.stack.name": "s" }, { stack: "s", service: undefined }],
  [{ "io.rancher.stack.name": "" }, undefined],
  [{}, undefined],
])("%j belongs to %j", (labels, membership) => {
  expect(membershipOf(labels as Record<string, string>)).toEqual(membership)
})

test("search goes from the service outwards, and then where the network says", () => {
  const domains = ["web.shop.rancher.internal", "shop.rancher.internal"]
  expect(searchDomains(RANCHER, ["example.com"])).toEqual([
    ...domains,
    "example.com",
    "rancher.internal",
  ])
  expect(searchDomains({}, ["rancher.internal"])).toEqual(["rancher.internal"])
})

test("stack and service are there as long as one of their containers is", () => {
  const { model, feed } = feeding()
  feed.put(container("1", RANCHER))
  feed.put(container("2", COMPOSE))
  expect(model.stacks.map(({ name }) => name)).toEqual(["Shop"])
  expect(model.services.map(({ name, scale }) => [name, scale])).toEqual([["web", 2]])
  const [service] = model.services
  expect(service && model.containersOf(service).map(({ uuid }) => uuid)).toEqual(["1", "2"])
  feed.remove("1")
  expect(model.services).toHaveLength(1)
  expect(model.services[0]?.scale).toBe(1)
  feed.remove("2")
  feed.remove("2")
  expect([...model.stacks, ...model.services, ...model.containers]).toEqual([])
})

test("a container that gets other labels moves", () => {
  const { model, feed } = feeding()
  feed.put(container("1", RANCHER))
  feed.put(container("1", { ...RANCHER, "io.rancher.stack_service.name": "Shop/Db" }))
  expect(model.services.map(({ name }) => name)).toEqual(["Db"])
  feed.put(container("1", {}))
  expect([...model.stacks, ...model.services]).toEqual([])
  expect(model.containers).toHaveLength(1)
})

test("one that comes again unchanged is no change", () => {
  const { model, feed } = feeding()
  feed.put(container("1", RANCHER))
  const { version } = model
  feed.put(container("1", RANCHER))
  expect(model.version).toBe(version)
})

test("the name and the number are the labels', else the container's", () => {
  const { model, feed } = feeding()
  feed.put(container("1", { "io.rancher.container.name": "shop-web-7" }))
  expect(model.container("1")).toMatchObject({ name: "shop-web-7", service_index: "7" })
  feed.put(container("1", { "com.docker.compose.container-number": "3" }))
  expect(model.container("1")).toMatchObject({ name: "c-1", service_index: "3" })
})

test("a container is there even where its runtime gave it no name", () => {
  const { model, feed } = feeding()
  feed.put({ ...container("1", {}), name: "" })
  expect(model.containers).toMatchObject([{ uuid: "1", name: "", service_index: null }])
})
