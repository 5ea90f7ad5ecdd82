import { expect, test } from "bun:test"
import { FakeDependencies, refuse } from "../../../test/cluster/fake_dependencies.ts"
import { LariatError } from "../../errors.ts"
import { quietly, repeat } from "./repeat.ts"

/** Work that throws what `outcome` says, where time stands still until told. */
function repeating(outcome: () => Error | undefined) {
  const dependencies = new FakeDependencies(refuse)
  const end = new AbortController()
  const times: number[] = []
  const errors: unknown[] = []
  const ended = repeat(dependencies, end.signal, {
    work: async (worked) => {
      times.push(dependencies.now() - 1000)
      const error = outcome()
      if (error !== undefined) throw error
      worked()
      return 5000
    },
    onError: (error) => {
      errors.push(error)
      throw new Error("bad hearer")
    },
  })
  return { dependencies, end, times, errors, ended }
}

test("work says when it is done again; after an error it waits longer each time", async () => {
  let away = false
  const { dependencies, times, errors } = repeating(() => (away ? new Error("away") : undefined))
  await dependencies.advance(5000)
  expect(times).toEqual([0, 5000])
  away = true
  await dependencies.advance(5400)
  expect(times.slice(2)).toEqual([10_000, 10_050, 10_150, 10_350])
  expect(errors).toHaveLength(4)
  away = false
  await dependencies.advance(500)
  away = true
  await dependencies.advance(5200)
  // Short again.
  expect(times.slice(6)).toEqual([10_750, 15_750, 15_800, 15_900, 16_100])
})

test("what the store refuses is asked for more rarely", async () => {
  const refusal = new LariatError("Cannot: no rights", { code: "permission" })
  const { dependencies, times } = repeating(() => refusal)
  await dependencies.advance(20_000)
  expect(times).toEqual([0, 500, 1500, 3500, 7500, 12_500, 17_500])
})

test("it ends with the signal, also in the middle of a wait", async () => {
  const { dependencies, end, times, ended } = repeating(() => undefined)
  await dependencies.advance(1000)
  end.abort()
  await ended
  await dependencies.advance(100_000)
  expect(times).toEqual([0])
  expect(dependencies.timers).toBe(0)
})

test("a listener's mistake stays its own", () => {
  quietly(() => {
    throw new Error("bad listener")
  })
})
