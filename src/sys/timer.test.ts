import { expect, test } from "bun:test"
import { after } from "./timer.ts"

test("calls once, later, and not when it was taken back", async () => {
  const heard: string[] = []
  const done = Promise.withResolvers<void>()
  after(0, () => heard.push("first"))
  const takeBack = after(0, () => heard.push("taken back"))
  after(1, done.resolve)
  takeBack()
  expect(heard).toEqual([])
  await done.promise
  expect(heard).toEqual(["first"])
  takeBack()
})
