import { expect, test } from "bun:test"
import { Health } from "../../health.ts"
import { Retries } from "./retries.ts"

test("waits grow up to half a minute, and begin anew once it held", () => {
  const health = new Health()
  const waits: number[] = []
  let due = () => {}
  const after = (ms: number, call: () => void) => {
    waits.push(ms)
    due = call
    return () => {}
  }
  const retries = new Retries({ health, random: () => 1, after })
  const fail = () => retries.failed("n", "set", new Error("no"), fail)
  fail()
  for (let i = 0; i < 6; i++) due()
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
  expect(retries.failing("set")).toEqual(["n"])
  expect(retries.failing("open")).toEqual([])
  retries.held("n", "open")
  expect(retries.isFailing("n", "set")).toBe(true)
  retries.held("n", "set")
  expect(retries.isFailing("n", "set")).toBe(false)
  expect(health.problems()).toEqual([])
  fail()
  expect(waits.at(-1)).toBe(1000)
})

test("a timer that is called off does not ring", async () => {
  const retries = new Retries({ health: new Health(), random: () => 0 })
  retries.failed("n", "open", new Error("no"), () => expect.unreachable())
  retries.close()
  retries.failed("n", "open", new Error("no"), () => expect.unreachable())
  await Bun.sleep(600)
})
