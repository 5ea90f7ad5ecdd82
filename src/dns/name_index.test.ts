import { expect, test } from "bun:test"
import fc from "fast-check"
import { Model } from "../metadata/model.ts"
import { parseObjectsFile } from "../metadata/objects_file.ts"
import type {
  ContainerRecord,
  EnvironmentRecord,
  ModelRecord,
  ServiceRecord,
} from "../metadata/records.ts"
import { wholeName } from "./name.ts"
import { NameIndex } from "./name_index.ts"

function record<T extends ModelRecord>(fields: Readonly<Record<string, unknown>>): T {
  return parseObjectsFile("t", JSON.stringify([fields])).records[0] as T
}

function container(uuid: string, more: Partial<ContainerRecord> = {}): ContainerRecord {
  const base = { metadata_kind: "container", uuid, name: uuid, state: "running" }
  return { ...record<ContainerRecord>(base), ...more }
}

function service(name: string, more: Partial<ServiceRecord> = {}): ServiceRecord {
  const base = { metadata_kind: "service", uuid: `s-${name}`, name, stack_name: "k" }
  return { ...record<ServiceRecord>(base), ...more }
}

function of(name: string): Partial<ContainerRecord> {
  return { services: [{ uuid: `s-${name}`, name }] }
}

/** The addresses and pointers of a name, as texts; undefined where there is no such name. */
function seen(index: NameIndex, text: string): string[] | undefined {
  const entry = index.named(text)
  if (entry === undefined) return undefined
  const { a, aaaa, ptr, alias } = index.recordsOf(entry)
  const texts: string[] = []
  for (let at = 0; at < a.bytes.length; at += 16) {
    texts.push(a.bytes.subarray(at + 12, at + 16).join("."))
  }
  for (let at = 0; at < aaaa.bytes.length; at += 28) {
    texts.push(aaaa.bytes.subarray(at + 12, at + 28).toHex())
  }
  if (ptr.count > 0) texts.push(new TextDecoder().decode(wholeName(ptr.bytes, 12)).slice(1, -1))
  if (alias !== undefined) texts.push(alias)
  return texts
}

test("a link may say its own environment and region, and leads nowhere with others", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(service("web"))
  model.put(container("a", { ...of("web"), primary_ip: "10.0.0.1" }))
  const keys = [
    "k/web",
    "Prod/k/web",
    "north/prod/K/Web",
    "test/k/web",
    "south/prod/k/web",
    "x/x/x/x/x",
  ]
  const alias = (at: number) => `alias${at}.k.rancher.internal`
  for (const [at, key] of keys.entries()) {
    model.put(service(`alias${at}`, { kind: "dnsService", links: { [key]: "a" } }))
  }
  const all = () => keys.map((_, at) => seen(index, alias(at)))
  const [here, nowhere] = [["10.0.0.1"], []]
  expect(all()).toEqual([here, nowhere, nowhere, nowhere, nowhere, nowhere])
  const environment = record<EnvironmentRecord>({
    metadata_kind: "environment",
    uuid: "e",
    name: "prod",
    region_name: "North",
  })
  model.put(environment)
  expect(all()).toEqual([here, here, here, nowhere, nowhere, nowhere])
  // What is linked may change as ever.
  model.put(container("a", { ...of("web"), primary_ip: "10.0.0.2" }))
  expect(seen(index, alias(2))).toEqual(["10.0.0.2"])
  model.put({ ...environment, name: "test" })
  expect(all().map((found) => found?.length)).toEqual([1, 0, 0, 1, 0, 0])
})

test("a service has the addresses of those that run and are well", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(service("web"))
  expect(seen(index, "web.k.rancher.internal")).toEqual([])
  const check = { response_timeout: 1, interval: 1, healthy_threshold: 1 } as never
  const a = container("a", { ...of("web"), primary_ip: "10.0.0.1", health_check: check })
  const b = container("b", { ...of("web"), primary_ip: "10.0.0.2", health_check: check })
  model.put(a)
  model.put(b)
  // Nobody is known to be well: the last one.
  expect(seen(index, "web.k.rancher.internal")).toEqual(["10.0.0.2"])
  model.put({ ...a, health_state: "healthy" })
  expect(seen(index, "web.k.rancher.internal")).toEqual(["10.0.0.1"])
  model.put({ ...b, health_state: "updating-healthy" })
  expect(seen(index, "web.k.rancher.internal")).toEqual(["10.0.0.1", "10.0.0.2"])
  model.put({ ...a, health_state: "healthy", state: "stopped" })
  expect(seen(index, "web.k.rancher.internal")).toEqual(["10.0.0.2"])
  model.remove("container", "b")
  expect(seen(index, "web.k.rancher.internal")).toEqual(["10.0.0.1"])
  model.remove("service", "s-web/web")
  expect(seen(index, "web.k.rancher.internal")).toBeUndefined()
})

test("a container has its addresses, and they have its name", () => {
  const model = new Model()
  const index = new NameIndex(model)
  const a = container("A-1", { primary_ip: "10.0.0.1", ips: ["10.0.0.1", "fd00::1"] })
  model.put(a)
  const v6 = "fd000000000000000000000000000001"
  expect(seen(index, "a-1.rancher.internal")).toEqual(["10.0.0.1", v6])
  expect(seen(index, "1.0.0.10.in-addr.arpa")?.join()).toContain("a-1")
  expect(index.named(`${[...v6].reverse().join(".")}.ip6.arpa`)).toBeDefined()
  model.put({ ...a, primary_ip: "10.0.0.9", ips: [] })
  expect(seen(index, "1.0.0.10.in-addr.arpa")).toBeUndefined()
  expect(index.named(`${[...v6].reverse().join(".")}.ip6.arpa`)).toBeUndefined()
  expect(seen(index, "9.0.0.10.in-addr.arpa")).toBeDefined()
})

test("a container in another's network has that one's address, and follows it", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(service("side", { primary_service_name: "web" }))
  const more = { network_from_container_uuid: "p", ...of("side") }
  model.put(container("c", more))
  expect(seen(index, "side.web.k.rancher.internal")).toEqual([])
  model.put(container("p", { primary_ip: "10.0.0.1" }))
  expect(seen(index, "side.web.k.rancher.internal")).toEqual(["10.0.0.1"])
  expect(seen(index, "c.rancher.internal")).toEqual(["10.0.0.1"])
  model.put(container("p", { primary_ip: "10.0.0.2" }))
  expect(seen(index, "side.web.k.rancher.internal")).toEqual(["10.0.0.2"])
  expect(seen(index, "c.rancher.internal")).toEqual(["10.0.0.2"])
  // In a circle there is no address.
  model.put(container("p", { network_from_container_uuid: "c" }))
  expect(seen(index, "c.rancher.internal")).toEqual([])
})

test("VIP, external services, names elsewhere, Kubernetes", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(service("vip", { vip: "10.0.0.7" }))
  model.put(container("a", { ...of("vip"), primary_ip: "10.0.0.1" }))
  expect(seen(index, "vip.k.rancher.internal")).toEqual(["10.0.0.7"])
  model.put(
    service("ext", { kind: "externalService", external_ips: ["192.0.2.1", "junk", "fd00::"] }),
  )
  expect(seen(index, "ext.k.rancher.internal")).toHaveLength(2)
  model.put(service("out", { kind: "externalService", hostname: "example.com" }))
  expect(seen(index, "out.k.rancher.internal")).toEqual(["example.com"])
  model.put(service("api", { kind: "kubernetesService", vip: "10.0.0.8" }))
  expect(seen(index, "api.k.svc.cluster.local")).toEqual(["10.0.0.8"])
  expect(seen(index, "api.k.rancher.internal")).toBeUndefined()
})

test("an alias has what its services have, however they change, and survives circles", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(service("all", { kind: "dnsService", links: { "k/a": "a", "k/more": "m" } }))
  model.put(service("more", { kind: "dnsService", links: { "k/b": "b", "k/all": "x" } }))
  expect(seen(index, "all.k.rancher.internal")).toEqual([])
  model.put(service("a"))
  model.put(service("b"))
  model.put(container("1", { ...of("a"), primary_ip: "10.0.0.1" }))
  expect(seen(index, "all.k.rancher.internal")).toEqual(["10.0.0.1"])
  model.put(container("2", { ...of("b"), primary_ip: "10.0.0.2" }))
  expect(seen(index, "all.k.rancher.internal")?.sort()).toEqual(["10.0.0.1", "10.0.0.2"])
  model.put(container("1", { ...of("a"), primary_ip: "10.0.0.3" }))
  expect(seen(index, "more.k.rancher.internal")?.sort()).toEqual(["10.0.0.2", "10.0.0.3"])
  model.remove("service", "s-b/b")
  expect(seen(index, "all.k.rancher.internal")).toEqual(["10.0.0.3"])
})

test("two of one name share it", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(container("u1", { name: "db", primary_ip: "10.0.0.1" }))
  model.put(container("u2", { name: "DB", primary_ip: "10.0.0.2" }))
  expect(seen(index, "db.rancher.internal")).toEqual(["10.0.0.1", "10.0.0.2"])
  model.remove("container", "u1")
  expect(seen(index, "db.rancher.internal")).toEqual(["10.0.0.2"])
})

test("a stack that is renamed renames its services", () => {
  const model = new Model()
  const index = new NameIndex(model)
  const stack = record({ metadata_kind: "stack", uuid: "st", name: "old" })
  model.put(stack)
  model.put(service("web", { stack_name: null, stack_uuid: "st" }))
  expect(index.named("web.old.rancher.internal")).toBeDefined()
  model.put({ ...stack, name: "new" })
  expect(index.named("web.old.rancher.internal")).toBeUndefined()
  expect(index.named("web.new.rancher.internal")).toBeDefined()
})

test("a container in the network of one that is in a third's has that one's address, also a new one", () => {
  const model = new Model()
  const index = new NameIndex(model)
  model.put(container("a", { name: "x", network_from_container_uuid: "b" }))
  model.put(container("c", { name: "y", network_from_container_uuid: "a" }))
  expect(seen(index, "y.rancher.internal")).toEqual([])
  model.put(container("b", { name: "z", primary_ip: "10.0.0.2" }))
  expect(seen(index, "y.rancher.internal")).toEqual(["10.0.0.2"])
  model.put(container("b", { name: "z", primary_ip: "10.0.0.3" }))
  expect(seen(index, "y.rancher.internal")).toEqual(["10.0.0.3"])
})

test("names that DNS can not say are left out", () => {
  const model = new Model()
  const index = new NameIndex(model)
  const before = index.size
  model.put(container("long", { name: "x".repeat(64) }))
  model.put(container("dots", { name: "a..b" }))
  model.remove("container", "long")
  expect(index.size).toBe(before)
})

test("any changes leave what an index made anew has", () => {
  const address = fc.constantFrom(null, "10.0.0.1", "10.0.0.2", "fd00::1")
  const changes = fc.oneof(
    fc.record({
      what: fc.constant("container" as const),
      uuid: fc.constantFrom("a", "b", "c"),
      name: fc.constantFrom("x", "y"),
      address,
      parent: fc.constantFrom(null, null, "a", "b"),
      member: fc.constantFrom("web", "db"),
      state: fc.constantFrom("running", "stopped"),
      remove: fc.boolean(),
    }),
    fc.record({
      what: fc.constant("service" as const),
      name: fc.constantFrom("web", "db", "alias"),
      stack: fc.constantFrom("k", "l"),
      links: fc.subarray(["k/web", "l/db", "k/alias"]),
      remove: fc.boolean(),
    }),
  )
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 25 }), (steps) => {
      const model = new Model()
      const index = new NameIndex(model)
      const names = ["x.rancher.internal", "y.rancher.internal", "1.0.0.10.in-addr.arpa"]
      for (const n of ["web", "db", "alias"]) {
        for (const s of ["k", "l"]) names.push(`${n}.${s}.rancher.internal`)
      }
      const view = (one: NameIndex) => names.map((name) => seen(one, name)?.sort())
      for (const step of steps) {
        if (step.what === "container") {
          const { uuid, name, address: ip, parent, member, state } = step
          const more = { name, primary_ip: ip, network_from_container_uuid: parent, state }
          if (step.remove) model.remove("container", uuid)
          else model.put(container(uuid, { ...more, ...of(member) }))
        } else {
          const { name, stack, links } = step
          const kind = name === "alias" ? "dnsService" : "service"
          const to = Object.fromEntries(links.map((link) => [link, "l"]))
          if (step.remove) model.remove("service", `s-${name}/${name}`)
          else model.put(service(name, { stack_name: stack, kind, links: to }))
        }
        view(index)
      }
      const anew = new NameIndex(model)
      expect(view(index)).toEqual(view(anew))
      expect(index.size).toBe(anew.size)
    }),
    { numRuns: 300 },
  )
})

test("one change of 10,000 containers makes one answer anew, not all", () => {
  const model = new Model()
  const base = container("c")
  model.batch(() => {
    for (let n = 0; n < 10_000; n++) {
      const uuid = `c${n}`
      const ip = `10.${n >> 14}.${(n >> 7) & 127}.${n & 127}`
      model.put({ ...base, uuid, name: uuid, primary_ip: ip })
    }
  })
  const index = new NameIndex(model)
  const entry = index.named("c1.rancher.internal")
  const other = index.named("c2.rancher.internal")
  if (entry === undefined || other === undefined) throw new Error("no names")
  const [before, kept] = [index.recordsOf(entry), index.recordsOf(other)]
  model.put(container("c1", { primary_ip: "10.99.0.1" }))
  expect(index.recordsOf(entry)).not.toBe(before)
  expect(index.recordsOf(other)).toBe(kept)
})

test("a container that has stopped is not answered beside one of its name that runs", () => {
  const model = new Model()
  const index = new NameIndex(model)
  const name = { name: "db" }
  model.put(container("old", { ...name, primary_ip: "10.0.0.1", state: "stopped" }))
  expect(seen(index, "db.rancher.internal")).toEqual(["10.0.0.1"])
  const now = container("new", { ...name, primary_ip: "10.0.0.2", state: "running" })
  model.put(now)
  expect(seen(index, "db.rancher.internal")).toEqual(["10.0.0.2"])
  model.put({ ...now, state: "stopped" })
  expect(seen(index, "db.rancher.internal")).toEqual(["10.0.0.1", "10.0.0.2"])
})
