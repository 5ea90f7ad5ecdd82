import { expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { attemptAll, errorsOf } from "./failures.ts"

const fail = (what: string) => () => {
  throw new LariatError(what, { code: "mtu-too-small", hint: `mend ${what}` })
}

/** What is thrown. */
function thrown(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

test("every step is made, and tells what it did", () => {
  expect(attemptAll([() => ["a"], () => [], () => ["b", "c"]])).toEqual(["a", "b", "c"])
})

test("one failure is thrown as it is", () => {
  const did: string[] = []
  const error = thrown(() => attemptAll([fail("x"), () => [`${did.push("later")}`]]))
  expect(error).toMatchObject({ message: "x", code: "mtu-too-small", hint: "mend x" })
  expect(errorsOf(error)).toEqual([error])
  expect(did).toEqual(["later"])
})

test("several are one error with all of them, however deep", () => {
  const both = () => attemptAll([fail("x"), fail("y")])
  const error = thrown(() => attemptAll([both, fail("z")]))
  expect(error).toMatchObject({ message: "x; and 2 more", code: "mtu-too-small", hint: "mend x" })
  expect(errorsOf(error).map((one) => String(one))).toEqual([
    ...["LariatError: x", "LariatError: y", "LariatError: z"],
  ])
})
