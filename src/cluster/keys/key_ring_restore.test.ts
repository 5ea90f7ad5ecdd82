import { describe, expect, test } from "bun:test"
import {
  ack,
  announcement,
  generationsOf,
  PEER,
  pairs,
  ringOf,
  talking,
  write,
} from "../../../test/cluster_model/key_ring_fixture.ts"

describe("a process after another", () => {
  const former = announcement([4, 5], 3, 10)

  test("announces on what the former one did, and leaves its associations in use", () => {
    const { ring, clock, reserved } = ringOf({ former, lastGeneration: 6 })
    expect(reserved).toEqual([7])
    ring.announced("b", announcement([1], 3), 1)
    ring.heard(1)
    const plan = ring.plan()
    expect(generationsOf(plan)).toEqual([4, 5, 7])
    expect(plan.publish?.era).toBe(3)
    expect(plan.changed[0]).toMatchObject({ others: "use" })
    write(ring, plan, 2)
    ring.acked("b", ack(2, 1, { era: 3 }), 3)
    ring.heard(3)
    write(ring, ring.plan(), 4)
    clock.now = 10
    const next = ring.plan()
    expect(next.changed[0]).toMatchObject({ others: "receive" })
    expect(generationsOf(next)).toEqual([7])
    write(ring, next, 5)
    clock.now = 20
    expect(ring.plan().changed[0]).toMatchObject({ others: "drop" })
  })

  test("waits for a live peer that has not announced: the former one may have talked to it", () => {
    const { ring, clock } = ringOf({ former, lastGeneration: 6 })
    ring.heard(1)
    write(ring, ring.plan(), 2)
    clock.now = 500
    expect(generationsOf(ring.plan())).toBeUndefined()
    expect(ring.rotation().waitingFor).toEqual(["b"])
  })

  test("goes beyond a generation that it finds under its own name", () => {
    const { ring, reserved } = ringOf()
    ring.announced("a", announcement([9]), 1)
    ring.heard(1)
    write(ring, ring.plan(), 2)
    expect(generationsOf(ring.plan())).toEqual([1, 10])
    expect(reserved).toEqual([1, 10])
  })
})

describe("a store that was put back", () => {
  test("has everything published again in a new era; nothing of before counts, pairs stay", () => {
    const { ring } = talking()
    ring.rotate()
    write(ring, ring.plan(), 5)
    ring.restored()
    expect(ring.plan()).toMatchObject({ publish: undefined, acknowledge: undefined })
    ring.announced("b", announcement([1]), 1)
    ring.acked("b", ack(1, 1), 1)
    ring.heard(1)
    const plan = ring.plan()
    expect(plan.publish?.era).toBe(1)
    expect(generationsOf(plan)).toEqual([1, 2])
    expect(plan.acknowledge).toEqual(ack(1, 2, { era: 1 }))
    write(ring, plan, 2)
    // Of before: it says that it heard 5, and is not believed for what stands at 2.
    ring.acked("b", ack(3, 1), 4)
    ring.heard(4)
    ring.plan()
    expect(pairs(ring)).toEqual(["2-1", "*1-1*"])
    ring.announced("b", announcement([1], 1), 5)
    ring.acked("b", ack(4, 1, { era: 1 }), 5)
    ring.heard(5)
    ring.plan()
    expect(pairs(ring)).toEqual(["*2-1*", "1-1"])
  })

  test("unnoticed is learnt from another host, listed again, and begins no further era", () => {
    const { ring } = talking()
    ring.announced("b", announcement([1], 1), 9)
    ring.heard(9)
    const plan = ring.plan()
    expect(plan).toMatchObject({ relist: true, acknowledge: undefined, publish: { era: 1 } })
    ring.restored()
    ring.announced("b", announcement([1], 1), 9)
    ring.heard(9)
    expect(ring.plan()).toMatchObject({
      ...{ relist: false, publish: { era: 1 }, acknowledge: ack(9, 1, { era: 1 }) },
    })
  })

  test("where another host has begun the era already, that one is taken", () => {
    const { ring } = talking()
    ring.restored()
    ring.announced("b", announcement([1], 1), 2)
    ring.heard(2)
    expect(ring.plan()).toMatchObject({ relist: false, publish: { era: 1 } })
  })

  test("leaves no revision of before that would have to be reached again", () => {
    for (const before of [true, false]) {
      const { ring } = talking()
      ring.announced("b", announcement([1, 2]), 50)
      ring.heard(50)
      write(ring, ring.plan(), 51)
      if (before) ring.removePeer("b")
      ring.restored()
      if (!before) ring.removePeer("b")
      ring.heard(2)
      write(ring, ring.plan(), 3)
      ring.putPeer("b", PEER)
      expect(ring.plan().acknowledge).toMatchObject({ era: 1, revision: 3, refused: [] })
    }
  })

  test("before is remembered by the next process", () => {
    const { ring } = ringOf({ era: 4, lastGeneration: 6 })
    ring.restored()
    ring.heard(1)
    expect(ring.plan().publish?.era).toBe(5)
  })

  test("or an own record that was taken away has it written again", () => {
    const { ring } = talking()
    ring.announced("a", undefined, 5)
    ring.acked("a", undefined, 5)
    ring.heard(5)
    expect(ring.plan()).toMatchObject({ publish: { era: 0 }, acknowledge: { revision: 5 } })
  })
})
