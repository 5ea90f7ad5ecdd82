import { expect, test } from "bun:test"
import { Turns } from "./turns.ts"

test("so many go at a time, the others as they came unless they are too many, and who gives up is passed over", () => {
  const turns = new Turns(2, 3)
  const gone: string[] = []
  const take = (name: string) => turns.take(() => gone.push(name))
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(take)
  expect(gone.join("")).toBe("ab")
  expect(take("x")).toBeUndefined()
  a?.()
  a?.()
  expect(gone.join("")).toBe("abc")
  d?.()
  b?.()
  expect(gone.join("")).toBe("abce")
  c?.()
  e?.()
  take("f")
  take("g")
  take("h")
  expect(gone.join("")).toBe("abcefg")
})
