import { expect, test } from "bun:test"
import { persist } from "./persist.ts"

/** Work that fails so many times. */
function failing(times: number) {
  const failures: unknown[] = []
  let calls = 0
  const work = async () => {
    if (calls++ < times) throw new Error(`no ${calls}`)
    return "done"
  }
  return { work, failures, onFailure: (error: unknown) => failures.push(String(error)) }
}

test("what fails is done again, and each failure is told", async () => {
  const { work, failures, onFailure } = failing(2)
  expect(await persist(work, { retryMs: 1, isOver: () => false, onFailure })).toBe("done")
  expect(failures).toEqual(["Error: no 1", "Error: no 2"])
})

test("it ends when nobody wants it any more, after a failure as during the wait", async () => {
  for (const attempts of [1, 2]) {
    const { work, failures, onFailure } = failing(5)
    let asked = 0
    const isOver = () => ++asked >= attempts
    expect(await persist(work, { retryMs: 1, isOver, onFailure })).toBeUndefined()
    expect(failures).toHaveLength(1)
  }
})
