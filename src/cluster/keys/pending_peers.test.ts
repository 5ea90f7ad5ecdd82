import { expect, test } from "bun:test"
import { PendingPeers } from "./pending_peers.ts"

const announcement = { value: { era: 0, generations: [] }, revision: 5 }

test("what a host said is kept until it is a peer, once", () => {
  const pendingPeers = new PendingPeers()
  pendingPeers.of("a").announcement = announcement
  pendingPeers.of("a").refused = true
  expect(pendingPeers.take("a")).toEqual({
    announcement,
    acknowledgement: undefined,
    refused: true,
  })
  expect(pendingPeers.take("a")).toBeUndefined()
})

test("those who announced something, or whose announcement did not hold, are to be told", () => {
  const pendingPeers = new PendingPeers()
  pendingPeers.of("announced").announcement = announcement
  pendingPeers.of("refused").refused = true
  pendingPeers.of("acknowledged").acknowledgement = {
    value: { era: 0, revision: 1, generation: 1, refused: [] },
    revision: 2,
  }
  pendingPeers.put("was a peer", { announcement, acknowledgement: undefined, refused: false })
  expect(pendingPeers.refused()).toEqual(["announced", "refused", "was a peer"])
  pendingPeers.forgetRevisions()
  expect(pendingPeers.of("announced").announcement).toEqual({ ...announcement, revision: 0 })
})
