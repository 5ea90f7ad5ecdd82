/** A client in Go, with types for everything: what it decodes is complete, and it hears changes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { requireTestNetns } from "../netns/guard.ts"
import { MetadataServe } from "../netns/metadata_server.ts"
import { attempt, run, waitFor } from "./program.ts"

requireTestNetns()

type Fields = Readonly<Record<string, unknown>>

interface Tree {
  readonly version: string
  readonly environment: Fields
  readonly self_host: Fields
  readonly self_container: Fields
  readonly self_service: Fields
  readonly by_name: Fields
  readonly self_stack: Fields
  readonly containers: readonly Fields[]
  readonly services: readonly Fields[]
  readonly stacks: readonly Fields[]
  readonly hosts: readonly Fields[]
  readonly networks: readonly Fields[]
}

const OBJECTS: readonly Fields[] = JSON.parse(
  readFileSync(join(import.meta.dir, "../fixtures/metadata/objects.json"), "utf8"),
)
/** Its first container: the asker. */
const ASKER = "10.42.10.1"
const PORT = 7086
/** Fields that the API makes of others, and shows as the version has it: looked at by themselves. */
const MADE = ["ports", "service_name", "service_uuid", "stack_uuid", "links", "metadata", "token"]
const NAMES = ["name", "stack_name", "primary_service_name", "sidekicks"]
const CASE_KEPT = ["2015-07-25", "2015-12-19"]

let directory: string
let objects: string
let server: MetadataServe

beforeAll(async () => {
  await run(["ip", "addr", "add", `${ASKER}/32`, "dev", "lo"])
  directory = mkdtempSync(join(tmpdir(), "lariat-go-client-"))
  objects = join(directory, "objects.json")
  write()
  server = await MetadataServe.start(objects, PORT)
})
afterAll(async () => {
  await server.stop()
  rmSync(directory, { recursive: true })
})

function write(...more: readonly object[]): void {
  writeFileSync(objects, JSON.stringify([...OBJECTS, ...more]))
}

function command(version: string, verb: string, port = PORT): string[] {
  const program = process.env.LARIAT_METADATA_CLIENT
  if (program === undefined) throw new Error("Cannot run here: use node test/run.mjs test")
  return [program, `http://127.0.0.1:${port}/${version}`, ASKER, verb]
}

async function read(version: string, verb: string): Promise<Tree> {
  return JSON.parse(await run(command(version, verb)))
}

function fixtures(kind: string): readonly Fields[] {
  return OBJECTS.filter((object) => object.metadata_kind === kind)
}

/** Without what leaves a Go value at zero: null. */
function known(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(known)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).filter(([, field]) => field !== null)
  return Object.fromEntries(entries.map(([key, field]) => [key, known(field)]))
}

/** What a client must have of an object: each field of its type that the fixture fills. */
function mustHave(object: Fields, decoded: Fields, version: string): Fields {
  const filled = Object.entries(known(object) as Fields).filter(
    ([key]) => key in decoded && !MADE.includes(key),
  )
  return Object.fromEntries(
    filled.map(([key, value]) => {
      const folded = NAMES.includes(key) && !CASE_KEPT.includes(version)
      return [key, folded ? JSON.parse(JSON.stringify(value).toLowerCase()) : value]
    }),
  )
}

/** Each fixture is among the decoded objects, with every field that it fills. */
function expectComplete(kind: string, decoded: readonly Fields[], version: string): void {
  const expected = fixtures(kind)
  expect(decoded).toHaveLength(expected.length)
  for (const object of expected) {
    const name = String(object.name).toLowerCase()
    const found = decoded.find(
      (one) => one.uuid === object.uuid && String(one.name).toLowerCase() === name,
    )
    expect(found).toMatchObject(mustHave(object, found ?? {}, version))
  }
}

function named(list: unknown, name: string): Fields | undefined {
  return (list as readonly Fields[]).find((one) => String(one.name).toLowerCase() === name)
}

const lower = (texts: unknown) => (texts as readonly string[]).map((text) => text.toLowerCase())

describe.each(["2015-07-25", "2015-12-19", "2016-07-29", "latest"])("%s", (version) => {
  const namesOnly = version === "2015-07-25"
  const keptCase = CASE_KEPT.includes(version)
  let tree: Tree

  beforeAll(async () => {
    tree = await read(version, namesOnly ? "names" : "read")
  })

  test("all lists are decoded whole", () => {
    expectComplete("container", tree.containers, version)
    expectComplete("service", tree.services, version)
    expectComplete("stack", tree.stacks, version)
    expectComplete("network", tree.networks, version)
    expectComplete(
      "host",
      tree.hosts.map(({ hostId: _, ...host }) => host),
      version,
    )
    const numbers = fixtures("host").map(({ hostId }) => (keptCase ? hostId : 0))
    expect(tree.hosts.map(({ hostId }) => hostId)).toEqual(numbers)
    expect(tree.environment).toMatchObject({ name: "default" })
  })

  test("fields that are made of others are there", () => {
    const web = named(tree.containers, "default-web-1")
    expect(web).toMatchObject({
      service_name: keptCase ? "Web" : "web",
      service_uuid: "55555555-eeee-4eee-8eee-000000000001",
      stack_name: keptCase ? "Default" : "default",
      stack_uuid: "44444444-dddd-4ddd-8ddd-000000000001",
      ports: [keptCase ? "172.31.0.11:8080:80/tcp" : "0.0.0.0:8080:80/tcp"],
    })
    const service = named(tree.services, "web")
    expect(lower(Object.keys(service?.links ?? {}))).toEqual(["default/db"])
    expect(Object.keys(service?.metadata ?? {}).length).toBeGreaterThan(5)
    expect(tree.networks.some(({ metadata }) => Object.keys(metadata as object).length > 0)).toBe(
      true,
    )
  })

  test("what is of a service and of a stack hangs on it", () => {
    const { containers } = named(tree.services, "web") as { readonly containers: unknown }
    const { services } = named(tree.stacks, "default") as { readonly services: unknown }
    const members = ["default-web-1", "default-web-2"]
    const stack = fixtures("service").filter(({ stack_name }) => stack_name === "Default")
    const inStack = lower(stack.map(({ name }) => String(name))).sort()
    if (namesOnly) {
      expect(lower(containers)).toEqual(members)
      expect(lower(services).sort()).toEqual(inStack)
      return
    }
    const names = (list: unknown) => lower((list as readonly Fields[]).map(({ name }) => name))
    expect(names(containers)).toEqual(members)
    expect(names(services).sort()).toEqual(inStack)
    expect(named(containers, members[0] ?? "")).toEqual(named(tree.containers, members[0] ?? ""))
    expect(named(services, "web")).toEqual(named(tree.services, "web"))
  })

  test("it knows itself by its address", () => {
    expect(tree.self_container).toEqual(named(tree.containers, "default-web-1") ?? {})
    expect(tree.self_host).toEqual(named(tree.hosts, "host1") ?? {})
    expect(tree.self_stack).toEqual(named(tree.stacks, "default") ?? {})
    const token = fixtures("service").find(({ name }) => name === "Web")?.token
    expect(tree.self_service).toEqual({ ...named(tree.services, "web"), token })
    if (!namesOnly) expect(tree.by_name).toEqual(named(tree.services, "web") ?? {})
    expect(tree.version).toMatch(/^[0-9a-f-]{36}$/)
  })
})

/** What a watching client printed: the containers' names at each change. */
class Watcher {
  readonly child: ChildProcess
  #text = ""

  constructor(verb: string) {
    const [program = "", ...args] = command("2016-07-29", verb)
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] })
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text
    })
  }

  get heard(): readonly (readonly string[])[] {
    const lines = this.#text.split("\n").slice(0, -1)
    return lines.map((line) => JSON.parse(line))
  }

  async hears(name: string): Promise<void> {
    await waitFor(`${name} to be heard of`, () =>
      this.heard.at(-1)?.includes(name) ? 1 : undefined,
    )
  }
}

test.each(["poll", "long-poll"])("%s: it hears each change, and reads it", async (verb) => {
  write()
  server.reload()
  const watcher = new Watcher(verb)
  try {
    await watcher.hears("default-web-1")
    for (const name of ["first", "second", "third"]) {
      write({ metadata_kind: "container", uuid: name, name })
      server.reload()
      await watcher.hears(name)
    }
    expect(watcher.child.exitCode).toBeNull()
    expect(watcher.heard.length).toBeLessThanOrEqual(5)
  } finally {
    watcher.child.kill("SIGKILL")
  }
})

test("it may be started before there is a server", async () => {
  const port = PORT + 1
  const waiting = attempt(command("latest", "read", port))
  const late = await MetadataServe.start(objects, port)
  const result = await waiting
  await late.stop()
  expect(result).toMatchObject({ status: 0, stderr: "" })
})
