import { describe, expect, test } from "bun:test"
import {
  ack,
  announcement,
  generationsOf,
  NETWORK,
  PEER,
  pairs,
  ringOf,
  talking,
  write,
} from "../../../test/cluster_model/key_ring_fixture.ts"

describe("a rotation", () => {
  test("goes step by step, and takes nothing away before its time", () => {
    const { ring, clock, reserved } = talking()
    ring.rotate()
    const first = ring.plan()
    expect(reserved).toEqual([1, 2])
    expect(generationsOf(first)).toEqual([1, 2])
    expect(first.acknowledge).toEqual(ack(4, 2))
    expect(pairs(ring)).toEqual(["2-1", "*1-1*"])
    write(ring, first, 5)
    expect(ring.plan()).toMatchObject({ publish: undefined, acknowledge: undefined, changed: [] })
    expect(ring.rotation()).toEqual({
      ...{ generation: 2, live: [1, 2], rotating: true, waitingFor: ["b"] },
    })

    ring.acked("b", ack(5, 1), 6)
    ring.heard(6)
    const second = ring.plan()
    expect(pairs(ring)).toEqual(["*2-1*", "1-1"])
    expect(second.publish).toBeUndefined()
    expect(second.acknowledge).toEqual(ack(6, 2))
    expect(second.wakeAt).toBe(10)
    write(ring, second, 7)

    clock.now = 9
    expect(ring.plan().publish).toBeUndefined()
    clock.now = 10
    const third = ring.plan()
    expect(generationsOf(third)).toEqual([2])
    expect(pairs(ring)).toEqual(["*2-1*", "1-1"])
    clock.now = 50
    // The store has not taken it: others may still send.
    expect(generationsOf(ring.plan())).toEqual([2])
    expect(pairs(ring)).toEqual(["*2-1*", "1-1"])
    write(ring, third, 8)
    clock.now = 59
    expect(ring.plan().wakeAt).toBe(60)
    expect(pairs(ring)).toEqual(["*2-1*", "1-1"])
    clock.now = 60
    expect(ring.plan().changed).toHaveLength(1)
    expect(pairs(ring)).toEqual(["*2-1*"])
    expect(ring.rotation()).toEqual({
      ...{ generation: 2, live: [2], rotating: false, waitingFor: [] },
    })
  })

  test("of the peer makes a pair at once, and keeps the old one for a grace after it went", () => {
    const { ring, clock } = talking()
    ring.announced("b", announcement([1, 2]), 5)
    ring.acked("b", ack(4, 2), 5)
    ring.heard(5)
    const plan = ring.plan()
    expect(pairs(ring)).toEqual(["*1-2*", "1-1"])
    expect(plan.acknowledge).toEqual(ack(5, 1))
    write(ring, plan, 6)
    ring.announced("b", announcement([2]), 7)
    ring.heard(7)
    // What takes a generation away asks for no acknowledgement.
    expect(ring.plan()).toMatchObject({ acknowledge: undefined, wakeAt: 10 })
    expect(pairs(ring)).toEqual(["*1-2*", "1-1"])
    clock.now = 10
    ring.plan()
    expect(pairs(ring)).toEqual(["*1-2*"])
  })

  test("waits while four generations are in force", () => {
    const { ring } = talking({ patienceMs: 1e9 })
    for (let n = 0; n < 5; n++) {
      ring.rotate()
      write(ring, ring.plan(), 5 + n)
    }
    expect(ring.rotation().live).toEqual([1, 2, 3, 4])
    expect(pairs(ring)).toEqual(["4-1", "3-1", "2-1", "*1-1*"])
  })

  test("does not wait for the dead, nor for ever for the living", () => {
    const { ring, clock } = talking()
    ring.rotate()
    write(ring, ring.plan(), 5)
    expect(ring.plan().wakeAt).toBe(1000)
    ring.setAlive("b", false)
    expect(ring.rotation().waitingFor).toEqual([])
    expect(ring.plan().wakeAt).toBe(10)
    ring.setAlive("b", true)
    expect(ring.plan().wakeAt).toBe(1000)
    clock.now = 1000
    ring.plan()
    clock.now = 1010
    const plan = ring.plan()
    expect(generationsOf(plan)).toEqual([2])
    // Not sent on any more: it goes soon.
    expect(pairs(ring)).toEqual(["2-1", "1-1"])
  })

  test("that cannot be counted is a problem, and the old keys go on", () => {
    const failure = new Error("disk full")
    let full = false
    const { ring } = talking({
      reserve: () => {
        if (full) throw failure
      },
    })
    full = true
    ring.rotate()
    expect(ring.plan()).toMatchObject({ problem: failure, publish: undefined })
    expect(pairs(ring)).toEqual(["*1-1*"])
    full = false
    expect(generationsOf(ring.plan())).toEqual([1, 2])
  })
})

describe("nothing is sent", () => {
  test("before the acknowledgement covers the own announcement", () => {
    const { ring } = ringOf()
    ring.announced("b", announcement([1]), 1)
    ring.heard(1)
    write(ring, ring.plan(), 2)
    for (const early of [ack(1, 1), ack(2, 7), ack(2, 1, { era: 1 })]) {
      const { ring: other } = ringOf()
      other.announced("b", announcement([1]), 1)
      other.heard(1)
      write(other, other.plan(), 2)
      other.acked("b", early, 3)
      other.heard(3)
      other.plan()
      expect(pairs(other)).toEqual(["1-1"])
    }
    ring.acked("b", ack(2, 1, { refused: ["a"] }), 3)
    ring.heard(3)
    ring.plan()
    expect(pairs(ring)).toEqual(["1-1"])
    ring.acked("b", ack(2, 1, { refused: ["*"] }), 4)
    ring.heard(4)
    ring.plan()
    expect(pairs(ring)).toEqual(["1-1"])
    ring.acked("b", ack(2, 1), 5)
    ring.heard(5)
    ring.plan()
    expect(pairs(ring)).toEqual(["*1-1*"])
  })

  test("by an acknowledgement that may be of a newer own generation, published unheard", () => {
    const { ring } = ringOf()
    ring.announced("b", announcement([1]), 1)
    ring.heard(1)
    write(ring, ring.plan(), 2)
    ring.rotate()
    const unanswered = ring.plan()
    ring.acked("b", ack(8, 1), 9)
    ring.plan()
    expect(pairs(ring)).toEqual(["2-1", "1-1"])
    // Written once more; the first time, at 7, is never told.
    if (unanswered.publish !== undefined) ring.announced("a", unanswered.publish, 10)
    ring.heard(10)
    ring.plan()
    expect(pairs(ring)).toEqual(["2-1", "1-1"])
    ring.acked("b", ack(10, 1), 11)
    ring.heard(11)
    ring.plan()
    expect(pairs(ring)).toEqual(["*2-1*", "1-1"])
  })

  test("by an acknowledgement of more than the store had: it is of one that was put back", () => {
    const { ring } = ringOf()
    ring.announced("b", announcement([1]), 1)
    ring.heard(1)
    write(ring, ring.plan(), 2)
    ring.acked("b", ack(9, 1), 3)
    ring.heard(3)
    ring.plan()
    expect(pairs(ring)).toEqual(["1-1"])
  })

  test("on generations that the peer listed no more, even where no other is confirmed", () => {
    const { ring } = talking()
    ring.announced("b", announcement([2]), 5)
    ring.heard(5)
    const plan = ring.plan()
    expect(pairs(ring)).toEqual(["1-2", "1-1"])
    expect(plan.changed[0]?.others).toBe("drop")
  })
})

describe("an acknowledgement", () => {
  test("names those whose announcement was not taken, until it is", () => {
    const { ring } = talking()
    ring.refuse("b")
    ring.announced("stranger", announcement([1]), 5)
    ring.refuse("liar")
    ring.heard(5)
    const plan = ring.plan()
    expect(plan.acknowledge?.refused).toEqual(["b", "liar", "stranger"])
    expect(pairs(ring)).toEqual(["*1-1*"])
    write(ring, plan, 6)
    expect(ring.plan().acknowledge).toBeUndefined()
    ring.announced("b", announcement([1]), 7)
    ring.gone("liar")
    ring.putPeer("stranger", { number: 3, networks: [NETWORK] })
    ring.heard(7)
    expect(ring.plan().acknowledge?.refused).toEqual([])
  })

  test("that refused the peer lets it send on nothing, and one that refuses this host waits", () => {
    const { ring } = talking()
    ring.rotate()
    ring.setInstalled("b", false)
    const plan = ring.plan()
    expect(plan.acknowledge?.refused).toEqual(["b"])
    write(ring, plan, 5)
    ring.acked("b", ack(5, 1), 6)
    ring.heard(6)
    ring.plan()
    expect(ring.rotation().waitingFor).toEqual(["b"])
    ring.setInstalled("b", true)
    write(ring, ring.plan(), 7)
    expect(ring.rotation().waitingFor).toEqual(["b"])
    ring.acked("b", ack(7, 1, { refused: ["a"] }), 8)
    ring.heard(8)
    ring.plan()
    expect(ring.rotation().waitingFor).toEqual(["b"])
    ring.acked("b", ack(8, 1), 9)
    ring.heard(9)
    ring.plan()
    expect(ring.rotation().waitingFor).toEqual([])
  })

  test("says at once that this host switched, and again where a host still waits", () => {
    const { ring, clock } = talking()
    ring.announced("b", announcement([1, 2]), 5)
    ring.heard(5)
    write(ring, ring.plan(), 6)
    ring.acked("b", ack(6, 2), 7)
    ring.heard(7)
    const plan = ring.plan()
    expect(pairs(ring)).toEqual(["*1-2*", "1-1"])
    expect(plan.acknowledge?.revision).toBe(7)
    write(ring, plan, 8)
    ring.acked("b", ack(8, 2), 9)
    ring.heard(9)
    expect(ring.plan()).toMatchObject({ acknowledge: undefined, wakeAt: 10 })
    clock.now = 10
    expect(ring.plan().acknowledge?.revision).toBe(9)
  })

  test("of a host that is no peer yet is kept for when it becomes one", () => {
    const { ring } = ringOf()
    ring.removePeer("b")
    ring.heard(1)
    write(ring, ring.plan(), 2)
    ring.announced("b", announcement([1]), 3)
    ring.acked("b", ack(2, 1), 3)
    ring.heard(3)
    ring.plan()
    ring.putPeer("b", PEER)
    ring.plan()
    expect(pairs(ring)).toEqual(["*1-1*"])
  })
})

describe("what is not taken", () => {
  test("is an announcement that goes back, or changes what was announced", () => {
    const { ring } = talking()
    ring.announced("b", announcement([1, 2]), 5)
    const changed = announcement([1, 2], 0, 50)
    for (const bad of [announcement([1]), changed]) {
      expect(() => ring.announced("b", bad, 6)).toThrow(
        expect.objectContaining({ code: "peer-refused", check: "generation" }),
      )
      ring.heard(6)
      expect(ring.plan().acknowledge?.refused).toEqual(["b"])
    }
    ring.announced("b", announcement([1, 2]), 7)
    ring.heard(7)
    expect(ring.plan().acknowledge?.refused).toEqual([])
  })

  test("is a public value that gives no secret, and plans go on", () => {
    const { ring } = talking()
    const zero = { generation: 2, publicValue: new Uint8Array(32), nonce: new Uint8Array(32) }
    const bad = { era: 0, generations: [...announcement([1]).generations, zero] }
    expect(() => ring.announced("b", bad, 5)).toThrow(
      expect.objectContaining({ check: "public-value" }),
    )
    ring.heard(5)
    ring.rotate()
    const plan = ring.plan()
    expect(plan).toMatchObject({ problem: undefined, acknowledge: { refused: ["b"] } })
    expect(pairs(ring)).toEqual(["*1-1*"])
  })
})

describe("no key comes back", () => {
  test("after a host was taken off and let in again", () => {
    const { ring } = talking()
    ring.removePeer("b")
    expect(ring.peer("b")).toBeUndefined()
    ring.putPeer("b", PEER)
    expect(pairs(ring)).toEqual([])
    const plan = ring.plan()
    expect(generationsOf(plan)).toEqual([1, 2])
    expect(pairs(ring)).toEqual(["2-1"])
  })

  test("after a network was taken away, or has another cipher", () => {
    const { ring } = talking()
    const other = { number: 3, cipher: "aes128gcm16" } as const
    ring.putPeer("b", { number: 2, networks: [NETWORK, other] })
    expect(pairs(ring, 3)).toEqual(["*1-1*"])
    expect(ring.plan().changed).toHaveLength(1)
    ring.putPeer("b", { number: 2, networks: [NETWORK, other] })
    expect(ring.plan().changed).toEqual([])
    ring.putPeer("b", { number: 2, networks: [NETWORK, { number: 3, cipher: "aes256gcm16" }] })
    expect(pairs(ring, 3)).toEqual([])
    expect(generationsOf(ring.plan())).toEqual([1, 2])
    expect(pairs(ring, 3)).toEqual(["2-1"])
    expect(pairs(ring)).toEqual(["2-1", "*1-1*"])
  })

  test("where SPIs come round after 64 generations, the old association goes first", () => {
    const { ring } = talking()
    ring.announced("b", announcement([1, 65]), 5)
    ring.heard(5)
    ring.plan()
    expect(ring.peer("b")?.networks[0]?.saPairs).toHaveLength(1)
  })

  test("and a host that makes ever new ones makes others hold eight at most", () => {
    const { ring } = talking()
    for (let n = 2; n < 30; n++) ring.announced("b", announcement([n]), 5 + n)
    ring.heard(50)
    ring.plan()
    expect(pairs(ring)).toHaveLength(8)
    expect(pairs(ring)[0]).toBe("1-29")
  })

  test("and what is dropped is overwritten", () => {
    const { ring } = talking()
    const keys = ring
      .peer("b")
      ?.networks[0]?.saPairs.flatMap(({ inbound, outbound }) => [inbound.key, outbound.key])
    expect(keys).toHaveLength(2)
    ring.close()
    for (const key of keys ?? []) expect(key.every((byte) => byte === 0)).toBe(true)
  })
})
