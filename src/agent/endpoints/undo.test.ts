import { expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { Undo } from "./undo.ts"

test("steps run newest first and the error comes back as it was", async () => {
  const ran: number[] = []
  const undo = new Undo()
  undo.push(() => {
    ran.push(1)
  })
  undo.push(async () => {
    ran.push(2)
  })
  const error = new Error("x")
  expect(await undo.failed(error)).toBe(error)
  expect(ran).toEqual([2, 1])
})

test("a failing step does not stop the others and is reported", async () => {
  const ran: (number | boolean)[] = []
  const undo = new Undo()
  undo.push(() => {
    ran.push(1, undo.isClean)
  })
  undo.push(() => {
    throw new Error("link stuck")
  })
  const error = await undo.failed(new LariatError("no address", { code: "pool-exhausted" }))
  expect(ran).toEqual([1, false])
  expect(error).toBeInstanceOf(LariatError)
  expect((error as LariatError).code).toBe("pool-exhausted")
  expect((error as LariatError).message).toContain(
    "no address; and taking it back failed: link stuck",
  )
})
