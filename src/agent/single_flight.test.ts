import { expect, test } from "bun:test"
import fc from "fast-check"
import { SingleFlight } from "./single_flight.ts"

test("never two at once, and each call is followed by work that began after it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 1, max: 8 }), async (scheduler, calls) => {
      let [running, begun, most] = [0, 0, 0]
      const flight = new SingleFlight(async () => {
        begun++
        most = Math.max(most, ++running)
        await scheduler.schedule(Promise.resolve(), "work")
        running--
      })
      const work = Array.from({ length: calls }, async () => {
        await scheduler.schedule(Promise.resolve(), "call")
        const before = begun
        await flight.run()
        expect(begun).toBeGreaterThan(before)
      })
      await scheduler.waitFor(Promise.all(work))
      expect(most).toBe(1)
      expect(begun).toBeLessThanOrEqual(calls)
    }),
    { numRuns: 200 },
  )
})

test("what fails can be tried again", async () => {
  const results = ["first", "second"]
  const flight = new SingleFlight(() => {
    const result = results.shift()
    if (result !== undefined) throw new Error(result)
    return Promise.resolve()
  })
  // Both wait for the same.
  const both = await Promise.allSettled([flight.run(), flight.run()])
  expect(both.map((one) => one.status === "rejected" && String(one.reason))).toEqual([
    "Error: first",
    "Error: first",
  ])
  await expect(flight.run()).rejects.toThrow("second")
  await flight.run()
})
