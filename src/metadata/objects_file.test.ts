import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { LariatError } from "../errors.ts"
import { Model } from "./model.ts"
import { loadObjects, parseObjectsFile } from "./objects_file.ts"

const FIXTURE = readFileSync(
  join(import.meta.dirname, "../../test/fixtures/metadata/objects.json"),
  "utf8",
)

test("a file as Rancher's server wrote it, links in the records they link", () => {
  const file = parseObjectsFile("objects.json", FIXTURE)
  expect(file.version).toBe("7-deadbeef")
  const model = new Model()
  loadObjects(model, file)
  expect(model.version).toBe(1)
  expect(model.selfHost?.name).toBe("host1")
  expect(model.environment?.name).toBe("default")
  expect([model.hosts, model.networks, model.stacks].map((list) => list.length)).toEqual([2, 2, 2])
  expect(model.services.map(({ name }) => name)).toEqual([
    ...["alias", "cni-driver", "DB", "ext", "ipsec", "lb", "Web", "web-side"],
  ])
  const web = model.services.find(({ name }) => name === "Web")
  expect(web?.links).toEqual({ "Default/DB": "mydb" })
  expect(web === undefined ? [] : model.containersOf(web).map(({ name }) => name)).toEqual([
    ...["Default-Web-1", "Default-Web-2"],
  ])
  const standalone = model.containerAt("10.42.10.9")
  expect(standalone?.links).toEqual({ dblink: "66666666-ffff-4fff-8fff-000000000003" })
})

test("reading again changes what changed, and removes what is gone", () => {
  const text = (names: readonly string[]) =>
    JSON.stringify(names.map((name) => ({ metadata_kind: "stack", uuid: name, name })))
  const model = new Model()
  const first = parseObjectsFile("f", text(["a", "b"]))
  loadObjects(model, first)
  loadObjects(model, parseObjectsFile("f", text(["b", "c"])), first)
  expect(model.stacks.map(({ name }) => name)).toEqual(["b", "c"])
  expect(model.version).toBe(2)
})

test("YAML is read too, and all but kind, uuid and name may be left out", () => {
  const yaml = "- metadata_kind: service\n  uuid: s\n  name: ext\n  external_ips: [203.0.113.5]\n"
  expect(parseObjectsFile("o.yml", yaml).records).toMatchObject([
    { kind: "service", external_ips: ["203.0.113.5"], primary_service_name: "ext", labels: {} },
  ])
})

function why(text: string): string {
  try {
    parseObjectsFile("o.json", text)
  } catch (error) {
    if (error instanceof LariatError && error.code === "config-invalid") return error.message
    throw error
  }
  return "nothing"
}

test("errors say where", () => {
  expect(why('[\n  {"metadata_kind": }\n')).toMatch(/o\.json: \d+:\d+: /)
  expect(why("{}")).toContain("it must be a list of objects")
  expect(why('[{"metadata_kind":"host","uuid":"h"}]')).toContain("[0].name: must be text")
  expect(why('[{"metadata_kind":"goblin"}]')).toContain("[0].metadata_kind: must be an object with")
  expect(why("[7]")).toContain("[0]: must be an object with a metadata_kind")
  const container = { metadata_kind: "container", uuid: "c", name: "c" }
  expect(why(JSON.stringify([{ ...container, ips: ["x", 3] }]))).toContain("[0].ips[1]: must be")
  expect(why(JSON.stringify([container, container]))).toContain("[1].uuid: another container c")
  const link = { metadata_kind: "containerLink", container_uuid: "d", key: "k", value: "v" }
  expect(why(JSON.stringify([container, link]))).toContain("[1].container_uuid: no such object")
  expect(why(JSON.stringify(Array(30).fill(7)))).toContain("; and 20 more")
})

test("whatever a file holds, it is read or refused", () => {
  const deep = `[{"metadata_kind":"service","uuid":"s","name":"s","metadata":{"a":${"[".repeat(500)}${"]".repeat(500)}}}]`
  expect(why(deep)).toContain("must not be nested deeper than 64")
  expect(why(`a: &a [${"*a,".repeat(3)}]`)).not.toBe("nothing")
  fc.assert(
    fc.property(fc.json(), (json) => {
      why(json)
    }),
  )
  fc.assert(
    fc.property(fc.nat(FIXTURE.length), fc.string({ maxLength: 3 }), (at, cut) => {
      why(FIXTURE.slice(0, at) + cut + FIXTURE.slice(at + cut.length))
    }),
    { numRuns: 30 },
  )
})
