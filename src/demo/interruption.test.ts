import { expect, test } from "bun:test"
import { errorOf } from "../../test/cluster/ear.ts"
import { untilInterrupted } from "./interruption.ts"

const listeners = () => process.listenerCount("SIGTERM")

test("work that is done gives what it gave, and leaves no one listening", async () => {
  const before = listeners()
  expect(await untilInterrupted(async () => 7)).toBe(7)
  const failing = untilInterrupted(async () => {
    throw new Error("it broke")
  })
  await expect(failing).rejects.toThrow("it broke")
  expect(listeners()).toBe(before)
})

test("a signal ends the waiting, and the work's later failure is nobody's", async () => {
  const before = listeners()
  const work = Promise.withResolvers<never>()
  const waiting = untilInterrupted(() => work.promise)
  process.kill(process.pid, "SIGTERM")
  const error = await errorOf(waiting)
  expect(error).toMatchObject({ code: "busy", message: "Cannot go on: SIGTERM came" })
  work.reject(new Error("too late"))
  expect(listeners()).toBe(before)
})
