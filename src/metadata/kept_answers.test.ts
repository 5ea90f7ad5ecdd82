import { expect, test } from "bun:test"
import type { Answer } from "./answer.ts"
import { KeptAnswers } from "./kept_answers.ts"

const answer = (length: number): Answer => ({ status: 200, headers: {}, body: "x".repeat(length) })

test("what is asked for stays, what nobody asks for goes", () => {
  const kept = new KeptAnswers({ most: 10 })
  const wanted = answer(1)
  kept.put("wanted", wanted)
  for (let count = 0; count < 1000; count++) {
    kept.put(`flood ${count}`, answer(1))
    expect(kept.get("wanted")).toBe(wanted)
    expect(kept.size).toBeLessThanOrEqual(11)
  }
  expect(kept.get("flood 0")).toBeUndefined()
})

test("long bodies take the room of many, and one too long takes none", () => {
  const kept = new KeptAnswers({ length: 1000 })
  for (let count = 0; count < 100; count++) kept.put(`${count}`, answer(100))
  expect(kept.size).toBeLessThanOrEqual(10)
  const before = kept.size
  kept.put("huge", answer(600))
  expect(kept.get("huge")).toBeUndefined()
  expect(kept.size).toBe(before)
})

test("all of it can be forgotten", () => {
  const kept = new KeptAnswers({ most: 4 })
  for (const key of ["a", "b", "c"]) kept.put(key, answer(1))
  kept.clear()
  expect(kept.size).toBe(0)
  expect(kept.get("a")).toBeUndefined()
})
