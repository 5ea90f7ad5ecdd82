import { describe, expect, test } from "bun:test"
import { LariatError, messageOf, runAll, runAllInTurn, TeardownError } from "./errors.ts"

describe("LariatError", () => {
  test("carries code, hint and cause", () => {
    const cause = new Error("no such device")
    const details = { code: "kernel", hint: "Make the bridge first.", cause } as const
    const error = new LariatError("Cannot add the port: no such device", details)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: "LariatError", ...details })
  })

  test("has no cause at all when none is given", () => {
    expect("cause" in new LariatError("Cannot x: y", { code: "io" })).toBe(false)
  })
})

describe("messageOf", () => {
  test("takes anything that can be thrown", () => {
    expect(messageOf(new Error("a"))).toBe("a")
    expect(messageOf("b")).toBe("b")
    expect(messageOf(undefined)).toBe("undefined")
    expect(messageOf({})).toBe("[object Object]")
  })
})

describe("runAll", () => {
  test("runs every step in order and returns when all succeed", () => {
    const ran: number[] = []
    runAll(
      "nothing",
      [() => ran.push(1), () => ran.push(2)].map((step) => () => void step()),
    )
    expect(ran).toEqual([1, 2])
  })

  test("goes on after a failure and reports every one", () => {
    const ran: string[] = []
    const first = new LariatError("Cannot delete the link: busy", { code: "kernel" })
    const steps = [
      () => {
        throw first
      },
      () => void ran.push("address"),
      () => {
        throw "text"
      },
      () => void ran.push("row"),
    ]
    let caught: unknown
    try {
      runAll("undoing c1/eth0", steps)
    } catch (error) {
      caught = error
    }
    expect(ran).toEqual(["address", "row"])
    expect(caught).toBeInstanceOf(TeardownError)
    expect(caught).toMatchObject({
      code: "teardown",
      message: "Cannot finish undoing c1/eth0: Cannot delete the link: busy; text",
      cause: first,
      errors: [first, "text"],
    })
  })
})

test("steps that take time are run in order, and every failure is told", async () => {
  const done: number[] = []
  const closed = runAllInTurn("the demo", [
    async () => void done.push(1),
    () => Promise.reject(new Error("first")),
    () => done.push(2),
    () => Promise.reject(new Error("second")),
  ])
  await expect(closed).rejects.toThrow(TeardownError)
  await expect(closed).rejects.toThrow("Cannot finish the demo: first; second")
  expect(done).toEqual([1, 2])
  await runAllInTurn("nothing", [])
})
