import { afterEach, beforeEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Model } from "../../metadata/model.ts"
import { Health } from "../health.ts"
import { MetadataObjects } from "./metadata_objects.ts"

let directory: string
let file: string
let model: Model
let health: Health
let objects: MetadataObjects

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lariat-objects-"))
  file = join(directory, "objects.json")
  model = new Model()
  health = new Health()
  objects = new MetadataObjects({ model, health })
})
afterEach(() => rmSync(directory, { recursive: true }))

const external = (name: string, more: object = {}) => ({
  metadata_kind: "service",
  uuid: name,
  name,
  kind: "externalService",
  external_ips: ["192.0.2.7"],
  ...more,
})
const write = (...list: readonly object[]) => writeFileSync(file, JSON.stringify(list))
const names = () => model.services.map(({ name }) => name)
const problems = () => health.problems().map(({ what }) => what)

test("a file's services are added, changed and removed with the file", () => {
  write(external("db"), external("mail"))
  objects.read(file)
  expect(names()).toEqual(["db", "mail"])
  write(external("db", { external_ips: ["192.0.2.8", "192.0.2.9"] }))
  objects.refresh()
  expect(model.services[0]?.external_ips).toEqual(["192.0.2.8", "192.0.2.9"])
  expect(names()).toEqual(["db"])
  objects.read(undefined)
  expect(names()).toEqual([])
  expect(problems()).toEqual([])
})

test("a file that did not change is not read", () => {
  write(external("db"))
  objects.read(file)
  const { version } = model
  objects.refresh()
  objects.read(file)
  expect(model.version).toBe(version)
})

test("a file that is broken or gone changes nothing, and is a problem until it is good again", () => {
  write(external("db"))
  objects.read(file)
  writeFileSync(file, "[{broken")
  objects.refresh()
  expect(names()).toEqual(["db"])
  expect(problems()).toEqual([expect.stringContaining("going on with the objects as they were")])
  rmSync(file)
  objects.refresh()
  expect(problems()).toEqual([expect.stringContaining("ENOENT")])
  write(external("mail"))
  objects.refresh()
  expect(names()).toEqual(["mail"])
  expect(problems()).toEqual([])
})

test("a file that is too large is not read", () => {
  write(external("db"))
  truncateSync(file, 17 * 1024 * 1024)
  objects.read(file)
  expect(problems()).toEqual([expect.stringContaining("it has 17825792 bytes")])
})

test("what is there is not replaced, nor removed with the file", () => {
  write(external("db"))
  objects.read(file)
  const own = model.services[0]
  if (own === undefined) throw new Error("nothing was loaded")
  objects.read(undefined)
  model.put({ ...own, kind: "service" })
  objects.read(file)
  expect(model.services[0]?.kind).toBe("service")
  objects.read(undefined)
  expect(names()).toEqual(["db"])
})

test("what came in its place later stays", () => {
  write(external("db"))
  objects.read(file)
  const own = model.services[0]
  if (own === undefined) throw new Error("nothing was loaded")
  model.put({ ...own, kind: "service" })
  write()
  objects.refresh()
  expect(names()).toEqual(["db"])
})

test("who this host is, and in what environment, is not a file's to say", () => {
  const environment = { metadata_kind: "environment", uuid: "e", name: "theirs" }
  const host = { metadata_kind: "host", uuid: "h", name: "theirs" }
  write(environment, host, { metadata_kind: "defaultData", self: { host: { uuid: "h" } } })
  objects.read(file)
  expect(model.environment).toBeUndefined()
  expect(model.selfHost).toBeUndefined()
  expect(model.hosts.map(({ name }) => name)).toEqual(["theirs"])
})
