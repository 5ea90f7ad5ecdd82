import { describe, expect, test } from "bun:test"
import objects from "../../test/fixtures/metadata/objects.json" with { type: "json" }
import { API_VERSIONS, type ApiVersion } from "./api_version.ts"
import { isList, isMap, lookup, type Tree } from "./lookup.ts"
import { Model } from "./model.ts"
import { loadObjects, parseObjectsFile } from "./objects_file.ts"
import { VersionTree } from "./version_tree.ts"

function modelOfFixture(): Model {
  const model = new Model()
  loadObjects(model, parseObjectsFile("fixture", JSON.stringify(objects)))
  return model
}

const model = modelOfFixture()
const trees = new Map(API_VERSIONS.map((version) => [version, new VersionTree(model, version)]))

function at(version: ApiVersion, path: string, from = "10.42.10.1"): Tree | undefined {
  const root = trees.get(version)?.root(model.containerAt(from), "v") ?? null
  // Without the second try in lower case, which would hide how names are written.
  return path.split("/").reduce<Tree | undefined>((here, segment) => {
    if (here === undefined || here === null) return undefined
    return isMap(here) && !Object.hasOwn(here, segment) ? undefined : lookup(here, [segment])?.value
  }, root)
}

const [V1, V2, V3] = API_VERSIONS

describe("what the versions show differently", () => {
  test("members: names in the first, objects since", () => {
    expect(at(V1, "self/service/containers")).toEqual(["Default-Web-1", "Default-Web-2"])
    expect(at(V2, "self/service/containers/0/name")).toBe("Default-Web-1")
    const services = at(V1, "self/stack/services")
    expect(isList(services ?? null) && services).toContain("Web")
    expect(at(V2, "self/stack/services/Web/name")).toBe("Web")
  })

  test("names: as written until the third, which has them in lower case", () => {
    for (const version of [V1, V2]) {
      expect(at(version, "self/container/name")).toBe("Default-Web-1")
      expect(at(version, "self/stack/name")).toBe("Default")
      expect(at(version, "self/container/service_name")).toBe("Web")
    }
    expect(at(V3, "self/container/name")).toBe("default-web-1")
    expect(at(V3, "self/stack/name")).toBe("default")
    expect(at(V3, "self/container/stack_name")).toBe("default")
    expect(at(V3, "self/service/primary_service_name")).toBe("web")
  })

  test("labels, host names and metadata: as written in all", () => {
    for (const version of API_VERSIONS) {
      expect(at(version, "self/container/labels/io.rancher.stack.name")).toBe("Default")
      expect(at(version, "self/service/metadata/Upper")).toBe(at(V1, "self/service/metadata/Upper"))
    }
  })

  test("ports without an address: the host's until the third", () => {
    expect(at(V2, "self/container/ports")).toEqual(["172.31.0.11:8080:80/tcp"])
    expect(at(V3, "self/container/ports")).toEqual(["0.0.0.0:8080:80/tcp"])
  })

  test("the host's number: only before the third", () => {
    expect(at(V2, "self/host/hostId")).toBeDefined()
    expect(at(V3, "self/host/hostId")).toBeUndefined()
  })

  test("linked environments: a list since the third", () => {
    expect(at(V2, "environments")).toBeUndefined()
    expect(at(V3, "environments")).toEqual([])
  })

  test("latest is the third", () => {
    const whole = (version: ApiVersion) => JSON.stringify(trees.get(version)?.root(undefined, "v"))
    expect(whole("latest")).toBe(whole(V3))
  })
})

test("ports keep the address that they have", () => {
  const own = modelOfFixture()
  const container = own.containerAt("10.42.10.1")
  if (container === undefined) throw new Error("the fixture has no such container")
  const ports = ["1:2/tcp", "0.0.0.0:1:2/udp", "127.0.0.1:1:2/tcp", "fd00::1:1:2/tcp"]
  const shown = (version: ApiVersion) =>
    new VersionTree(own, version).container({ ...container, ports, host_ip: "192.0.2.1" }).ports
  const last = ["127.0.0.1:1:2/tcp", "fd00::1:1:2/tcp"]
  expect(shown(V3)).toEqual(["0.0.0.0:1:2/tcp", "0.0.0.0:1:2/udp", ...last])
  expect(shown(V2)).toEqual(["192.0.2.1:1:2/tcp", "192.0.2.1:1:2/udp", ...last])
})

test("self has what the asker has", () => {
  const keys = (from: string) => Object.keys((at(V3, "self", from) ?? {}) as object).sort()
  expect(keys("10.42.10.1")).toEqual(["container", "host", "service", "stack"])
  expect(keys("10.42.10.9")).toEqual(["container", "host"])
  expect(keys("192.0.2.1")).toEqual(["host"])
})

test("the token is in self alone", () => {
  expect(at(V3, "self/service/token")).toBe("tok-Web")
  for (const path of ["services/web", "stacks/default/services/web", "self/stack/services/web"]) {
    expect(at(V3, `${path}/token`)).toBeNull()
  }
})

describe("after a change", () => {
  const own = modelOfFixture()
  const tree = new VersionTree(own, V3)
  const container = own.containerAt("10.42.10.1")
  const other = own.containerAt("10.42.10.9")
  if (container === undefined || other === undefined) throw new Error("the fixture lacks them")
  const [reference] = container.services
  const service = reference && own.service(reference)
  if (service === undefined) throw new Error("the fixture's container has no service")

  test("what did not change is the same object, what did is another everywhere", () => {
    const before = { other: tree.container(other), service: tree.service(service) }
    const lists = tree.root(undefined, "v")
    const [services, containers] = [lists.services, lists.containers]
    own.put({ ...container, state: "stopped" })
    expect(tree.container(other)).toBe(before.other)
    expect(tree.service(service)).not.toBe(before.service)
    const after = tree.root(undefined, "v")
    expect(after.services).not.toBe(services)
    expect(after.containers).not.toBe(containers)
    expect(lookup(after, ["services", "web", "containers", "0", "state"])?.value).toBe("stopped")
    expect(
      lookup(after, ["stacks", "default", "services", "web", "containers", "0", "state"])?.value,
    ).toBe("stopped")
  })

  test("a service that is called otherwise is so in its containers", () => {
    own.put({ ...service, stack_uuid: null })
    const shown = tree.container(own.containerAt("10.42.10.1") ?? container)
    expect([shown.stack_name, shown.service_name]).toEqual([null, "web"])
  })
})
