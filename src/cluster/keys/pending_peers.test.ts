import { expect, test } from "bun:test"
import { Strangers } from "./pending_peers.ts"

const announcement = { value: { era: 0, generations: [] }, revision: 5 }

test("what a host said is kept until it is a peer, once", () => {
  const strangers = new Strangers()
  strangers.of("a").announcement = announcement
  strangers.of("a").refused = true
  expect(strangers.take("a")).toEqual({ announcement, acknowledgement: undefined, refused: true })
  expect(strangers.take("a")).toBeUndefined()
})

test("those who announced something, or whose announcement did not hold, are to be told", () => {
  const strangers = new Strangers()
  strangers.of("announced").announcement = announcement
  strangers.of("refused").refused = true
  strangers.of("acknowledged").acknowledgement = {
    value: { era: 0, revision: 1, generation: 1, refused: [] },
    revision: 2,
  }
  strangers.put("was a peer", { announcement, acknowledgement: undefined, refused: false })
  expect(strangers.refused()).toEqual(["announced", "refused", "was a peer"])
  strangers.forgetRevisions()
  expect(strangers.of("announced").announcement).toEqual({ ...announcement, revision: 0 })
})
