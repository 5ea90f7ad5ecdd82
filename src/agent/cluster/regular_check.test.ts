import { expect, test } from "bun:test"
import { getLogger } from "@logtape/logtape"
import { LariatError } from "../../errors.ts"
import { Health } from "../health.ts"
import { RegularCheck } from "./regular_check.ts"

function fixture() {
  const health = new Health()
  const state = { reachable: true, error: undefined as unknown, calls: 0 }
  const check = new RegularCheck({
    isReachable: () => state.reachable,
    steps: [
      async () => {
        if (state.error !== undefined) throw state.error
      },
      async () => {
        state.calls++
      },
    ],
    health,
    log: getLogger("test"),
  })
  return { check, health, state }
}

test("what fails is a problem until it does not, and keeps nothing else from being done", async () => {
  const { check, health, state } = fixture()
  state.error = new LariatError("no number", { code: "peer-refused", hint: "look" })
  await check.run()
  expect(health.problems()).toEqual([{ severity: "error", what: "no number", hint: "look" }])
  expect(state.calls).toBe(1)
  state.error = undefined
  await check.run()
  expect(health.problems()).toEqual([])
})

test("an outage is none of its own, and nothing is tried in it", async () => {
  const { check, health, state } = fixture()
  state.error = new LariatError("away", { code: "store-away" })
  await check.run()
  expect(health.problems()).toEqual([])
  state.reachable = false
  await check.run()
  expect(state.calls).toBe(0)
})
