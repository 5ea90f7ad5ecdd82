import { expect, test } from "bun:test"
import fc from "fast-check"
import { Model, type ModelChange } from "./model.ts"
import { parseObjectsFile } from "./objects_file.ts"
import { type ContainerRecord, type ModelRecord, recordKey, type ServiceRecord } from "./records.ts"

function container(more: Partial<ContainerRecord> & { uuid: string }): ContainerRecord {
  const text = JSON.stringify([{ metadata_kind: "container", name: more.uuid, uuid: more.uuid }])
  return { ...(parseObjectsFile("t", text).records[0] as ContainerRecord), ...more }
}

function service(uuid: string, name: string, more: Partial<ServiceRecord> = {}): ServiceRecord {
  const text = JSON.stringify([{ metadata_kind: "service", name, uuid }])
  return { ...(parseObjectsFile("t", text).records[0] as ServiceRecord), ...more }
}

function heard(model: Model): ModelChange[] {
  const changes: ModelChange[] = []
  model.subscribe((change) => changes.push(change))
  return changes
}

test("a change is told once, with what was before; an equal record is no change", () => {
  const model = new Model()
  const changes = heard(model)
  const first = container({ uuid: "a" })
  model.put(first)
  model.put({ ...first, labels: {} })
  expect(model.version).toBe(1)
  const second = { ...first, state: "running" }
  model.put(second)
  model.remove("container", "a")
  model.remove("container", "a")
  expect(changes).toEqual([
    { version: 1, records: [{ before: undefined, after: first }] },
    { version: 2, records: [{ before: first, after: second }] },
    { version: 3, records: [{ before: second, after: undefined }] },
  ])
})

test("a batch is one change, of what is different in the end", () => {
  const model = new Model()
  const kept = container({ uuid: "kept" })
  model.put(kept)
  const changes = heard(model)
  const added = container({ uuid: "added" })
  model.batch(() => {
    model.put({ ...kept, state: "stopped" })
    model.put(container({ uuid: "passing" }))
    model.batch(() => model.put(added))
    model.remove("container", "passing")
    model.put(kept)
  })
  expect(changes).toEqual([{ version: 2, records: [{ before: undefined, after: added }] }])
  model.batch(() => undefined)
  expect(model.version).toBe(2)
})

test("what a batch did before it threw is told", () => {
  const model = new Model()
  const changes = heard(model)
  expect(() =>
    model.batch(() => {
      model.put(container({ uuid: "a" }))
      throw new Error("no")
    }),
  ).toThrow("no")
  expect(changes).toHaveLength(1)
  model.put(container({ uuid: "b" }))
  expect(changes).toHaveLength(2)
})

test("lists are in one order, numbers by value", () => {
  const model = new Model()
  for (const name of ["web-10", "Web-2", "web-1", "db", "web-2"]) {
    model.put(container({ uuid: `u-${name}`, name }))
  }
  const names = () => model.containers.map(({ name }) => name)
  expect(names()).toEqual(["db", "web-1", "Web-2", "web-2", "web-10"])
  const before = model.containers
  expect(model.containers).toBe(before)
  model.put(container({ uuid: "u-db", name: "zz" }))
  expect(names()).toEqual(["web-1", "Web-2", "web-2", "web-10", "zz"])
  expect(before[0]?.name).toBe("db")
})

test("containers are found by service, sidekicks apart, and by whose network they share", () => {
  const model = new Model()
  model.put(service("s1", "Web", { stack_uuid: "k" }))
  model.put(service("s1", "side", { stack_uuid: "k" }))
  model.put(container({ uuid: "c1", services: [{ uuid: "s1", name: "Web" }] }))
  const side = container({
    uuid: "c2",
    services: [{ uuid: "s1", name: "side" }],
    network_from_container_uuid: "c1",
  })
  model.put(side)
  const members = (name: string) => model.containersOf({ uuid: "s1", name }).map(({ uuid }) => uuid)
  expect([members("web"), members("side")]).toEqual([["c1"], ["c2"]])
  expect(model.containersInNetworkOf("c1")).toEqual([side])
  expect(model.servicesOfStack("k").map(({ name }) => name)).toEqual(["side", "Web"])
  model.put({ ...side, services: [], network_from_container_uuid: null })
  expect([members("web"), members("side")]).toEqual([["c1"], []])
  expect(model.containersInNetworkOf("c1")).toEqual([])
})

test("who is at an address: the running one, nobody where a host's containers share it", () => {
  const model = new Model()
  model.put(container({ uuid: "old", primary_ip: "10.42.0.2", state: "stopped" }))
  expect(model.containerAt("10.42.0.2")?.uuid).toBe("old")
  model.put(container({ uuid: "young", ips: ["10.42.0.2", "fd00::2"], state: "running" }))
  expect(model.containerAt("10.42.0.2")?.uuid).toBe("young")
  expect(model.containerAt("fd00::2")?.uuid).toBe("young")
  model.put(container({ uuid: "h", primary_ip: "172.31.0.11", host_ip: "172.31.0.11" }))
  expect(model.containerAt("172.31.0.11")).toBeUndefined()
  expect(model.containersAt("172.31.0.11")).toHaveLength(1)
})

test("any changes leave what the same records put in anew would be", () => {
  const step = fc.record({
    uuid: fc.constantFrom("a", "b", "c", "d"),
    name: fc.constantFrom("n-1", "n-2", "n-10", "N-2"),
    ip: fc.constantFrom(null, "10.0.0.1", "10.0.0.2"),
    services: fc.uniqueArray(fc.constantFrom("s", "t"), { maxLength: 2 }),
    remove: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const model = new Model()
      const last = new Map<string, ModelRecord>()
      for (const { uuid, name, ip, services, remove } of steps) {
        if (remove) {
          model.remove("container", uuid)
          last.delete(uuid)
          continue
        }
        const references = services.map((s) => ({ uuid: s, name: s }))
        const record = container({ uuid, name, primary_ip: ip, services: references })
        model.put(record)
        last.set(recordKey(record), record)
      }
      const anew = new Model()
      for (const record of [...last.values()].reverse()) anew.put(record)
      const view = (of: Model) => ({
        all: of.containers,
        at: ["10.0.0.1", "10.0.0.2"].map((ip) => of.containersAt(ip)),
        members: ["s", "t"].map((uuid) => of.containersOf({ uuid, name: uuid })),
      })
      expect(view(model)).toEqual(view(anew))
    }),
  )
})

test("the host this runs on, and the environment", () => {
  const model = new Model()
  const changes = heard(model)
  const [host, environment] = parseObjectsFile(
    "t",
    '[{"metadata_kind":"host","uuid":"h","name":"one"},{"metadata_kind":"environment","uuid":"e","name":"d"}]',
  ).records as [ModelRecord, ModelRecord]
  model.setSelfHost("h")
  expect(model.selfHost).toBeUndefined()
  model.put(host)
  model.put(environment)
  expect(model.selfHost?.name).toBe("one")
  expect(model.environment?.name).toBe("d")
  model.remove("environment", "other")
  expect(model.environment?.name).toBe("d")
  model.remove("environment", "e")
  expect(model.environment).toBeUndefined()
  expect(changes.map(({ records }) => records.length)).toEqual([0, 1, 1, 1])
})
