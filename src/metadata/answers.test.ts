import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import objects from "../../test/fixtures/metadata/objects.json" with { type: "json" }
import { Answers, type Question } from "./answers.ts"
import { Model } from "./model.ts"
import { loadObjects, parseObjectsFile } from "./objects_file.ts"

function modelOfFixture(): Model {
  const model = new Model()
  loadObjects(model, parseObjectsFile("fixture", JSON.stringify(objects)))
  return model
}

let versions = 0
const answersOf = (model: Model) => new Answers({ model, newVersion: () => `v${++versions}` })
const ask = (path: string, from = "10.42.10.1", format: Question["format"] = "text"): Question => ({
  path,
  from,
  format,
})

const ASKERS = ["10.42.10.1", "10.42.10.2", "10.42.10.9", "127.0.0.1", "172.31.0.11"]
const PATHS = [
  "/latest",
  "/latest/",
  "/2015-07-25",
  "/latest/self",
  "/latest/SELF/container",
  "/latest/s%65lf/container/name",
  "/latest/%53elf/host",
  "/latest/self/service",
  "/latest/self/service/token",
  "/latest/self/stack/services",
  "/latest/services/web",
  "/latest/containers",
  "/latest/containers/0/name",
  "/latest/nothing",
  "/latest/%E0%A4%A",
  "/nothing/self",
]

describe("what is kept", () => {
  test("is never another's: all is as without anything kept, whoever asked before", () => {
    const model = modelOfFixture()
    const shared = new Answers({ model, newVersion: () => "v" })
    const question = fc.record({
      path: fc.constantFrom(...PATHS),
      from: fc.constantFrom(...ASKERS),
      format: fc.constantFrom("text" as const, "json" as const, "yaml" as const),
    })
    fc.assert(
      fc.property(fc.array(question, { minLength: 1, maxLength: 40 }), (questions) => {
        for (const one of questions) {
          const alone = new Answers({ model, newVersion: () => "v" })
          expect(shared.answer(one)).toEqual(alone.answer(one))
        }
      }),
      { numRuns: 30 },
    )
  })

  test("is the same object for the same question, and for all askers of what is common", () => {
    const answers = answersOf(modelOfFixture())
    const first = answers.answer(ask("/latest/containers", "10.42.10.1"))
    expect(answers.answer(ask("/latest/containers", "10.42.10.2"))).toBe(first)
    expect(answers.answer(ask("/latest/containers", "10.42.10.1", "json"))).not.toBe(first)
  })

  test("is forgotten with any change", () => {
    const model = modelOfFixture()
    const answers = answersOf(model)
    const before = answers.answer(ask("/latest/self/container/state")).body
    const container = model.containerAt("10.42.10.1")
    if (container === undefined) throw new Error("the fixture has no such container")
    model.put({ ...container, state: "stopped" })
    expect(before).toBe("running")
    expect(answers.answer(ask("/latest/self/container/state")).body).toBe("stopped")
  })

  test("does not include what is not there: such paths are endless", () => {
    const answers = answersOf(modelOfFixture())
    const first = answers.answer(ask("/latest/none"))
    expect(answers.answer(ask("/latest/none"))).not.toBe(first)
  })
})

test("the version is another after each change, and only then", () => {
  const model = modelOfFixture()
  const answers = answersOf(model)
  const version = () => answers.answer(ask("/latest/version")).body
  const first = version()
  expect(version()).toBe(first)
  model.batch(() => {
    model.remove("environment", model.environment?.uuid ?? "")
    model.setSelfHost(undefined)
  })
  expect(version()).not.toBe(first)
  expect(answers.known(ask("/2015-07-25/version"))).toBe(version())
})

describe("what a waiting client knows", () => {
  const answers = answersOf(modelOfFixture())

  test.each([
    ["/latest/self/container/name", "default-web-1"],
    ["/latest/self/container/ips", "[10.42.10.1]"],
    ["/latest/self/container/memory_reservation", "<nil>"],
    ["/latest/none", undefined],
    ["/none/none", undefined],
    ["/latest/%E0%A4%A", undefined],
  ])("%s is %p", (path, text) => expect(answers.known(ask(path))).toBe(text as string))

  test("is not put together where it is longer than any address", () => {
    const model = modelOfFixture()
    const container = model.containerAt("10.42.10.1")
    if (container === undefined) throw new Error("the fixture has no such container")
    model.batch(() => {
      for (let count = 0; count < 1000; count++) {
        model.put({ ...container, uuid: `${count}`, ips: [], primary_ip: null, services: [] })
      }
    })
    const length = answersOf(model).known(ask("/latest/containers"))?.length ?? 0
    expect(length).toBeGreaterThan(8192)
    expect(length).toBeLessThan(20_000)
  })

  test("questions about the same thing are one, those of two askers about themselves are two", () => {
    const key = (path: string, from: string) => answers.key(ask(path, from))
    expect(key("/latest/version", "10.42.10.1")).toBe(key("/latest/version", "10.42.10.2"))
    expect(key("/latest/self", "10.42.10.1")).not.toBe(key("/latest/self", "10.42.10.2"))
    expect(key("/latest/self", "192.0.2.1")).toBe(key("/latest/self", "192.0.2.2"))
  })
})
