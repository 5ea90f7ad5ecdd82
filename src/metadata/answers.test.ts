import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import objects from "../../test/fixtures/metadata/objects.json" with { type: "json" }
import type { Answer } from "./answer.ts"
import { Answers, type Question } from "./answers.ts"
import type { Steps } from "./fair_turns.ts"
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

/** The answer after all of its steps. */
function through(answers: Answers, question: Question): Answer {
  return finished(answers.answer(question))
}

function finished(steps: Steps<Answer>): Answer {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

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
          expect(through(shared, one)).toEqual(through(alone, one))
        }
      }),
      { numRuns: 30 },
    )
  })

  test("is the same object for the same question, and for all askers of what is common", () => {
    const answers = answersOf(modelOfFixture())
    const first = through(answers, ask("/latest/containers", "10.42.10.1"))
    expect(through(answers, ask("/latest/containers", "10.42.10.2"))).toBe(first)
    expect(through(answers, ask("/latest/containers", "10.42.10.1", "json"))).not.toBe(first)
  })

  test("is one answer for one thing, however its path is written", () => {
    const answers = answersOf(modelOfFixture())
    const at = (path: string) => through(answers, ask(path, ASKERS[0], "yaml"))
    const first = at("/latest/containers")
    for (const path of ["latest/%63ontainers", "latest/CONTAINERS/", "l%61test//containers"]) {
      expect(at(`/${path}`)).toBe(first)
    }
    const [, name = ""] =
      /^0=(.*)/.exec(`${through(answers, ask("/latest/containers")).body}`) ?? []
    const one = at("/latest/containers/0")
    for (const index of ["000", name, name.toUpperCase(), "%30"]) {
      expect(at(`/latest/containers/${index}`)).toBe(one)
    }
  })

  test("is made once for all who ask for it at the same time", () => {
    const answers = answersOf(modelOfFixture())
    const [first, second] = [ask("/latest/containers"), ask("/latest/%63ontainers", ASKERS[1])]
    const steps = [answers.answer(first), answers.answer(second)]
    for (let n = 0; n < 3; n++) for (const one of steps) expect(one.next().done).toBe(false)
    const made = through(answers, first)
    for (const one of steps) expect(finished(one)).toBe(made)
  })

  test("has pages of other origins read it, but for a service's token", () => {
    const answers = answersOf(modelOfFixture())
    const isOpen = (path: string, format: Question["format"]) =>
      "Access-Control-Allow-Origin" in through(answers, ask(path, ASKERS[0], format)).headers
    for (const path of ["/latest", "/latest/self", "/latest/Self/service", "/2015-07-25/"]) {
      expect([isOpen(path, "text"), isOpen(path, "json"), isOpen(path, "yaml")]).toEqual([
        ...[true, false, false],
      ])
    }
    for (const format of ["text", "json"] as const) {
      expect(isOpen("/latest/self/service/%74oken", format)).toBe(false)
      for (const path of ["/", "/latest/services", "/latest/self/service/name"]) {
        expect(isOpen(path, format)).toBe(true)
      }
    }
  })

  test("is forgotten with any change", () => {
    const model = modelOfFixture()
    const answers = answersOf(model)
    const before = through(answers, ask("/latest/self/container/state")).body
    const container = model.containerAt("10.42.10.1")
    if (container === undefined) throw new Error("the fixture has no such container")
    model.put({ ...container, state: "stopped" })
    expect(before).toBe("running")
    expect(through(answers, ask("/latest/self/container/state")).body).toBe("stopped")
  })

  test("does not include what is not there: such paths are endless", () => {
    const answers = answersOf(modelOfFixture())
    const first = through(answers, ask("/latest/none"))
    expect(through(answers, ask("/latest/none"))).not.toBe(first)
  })
})

test("the version is another after each change, and only then", () => {
  const model = modelOfFixture()
  const answers = answersOf(model)
  const version = () => through(answers, ask("/latest/version")).body
  const first = version()
  expect(version()).toBe(first)
  model.batch(() => {
    model.remove("environment", model.environment?.uuid ?? "")
    model.setSelfHost(undefined)
  })
  expect(version()).not.toBe(first)
  expect(answers.known(ask("/2015-07-25/version"))).toBe(String(version()))
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
