import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { PeerFacts } from "./down_reason.ts"
import { type HealthState, PeerHealth, type ProbeOutcome } from "./peer_health.ts"

const FULL = 1446
const ROUND_MS = 10_000
const FINE: PeerFacts = { alive: true, route: true, policy: true, saPair: true }

/** What a path does to the probes of a round: the largest size it carries, 0 for none. */
class Peer {
  readonly health = new PeerHealth(FULL, 0)
  now = 0

  round(path: number, facts: PeerFacts = FINE, more: Partial<ProbeOutcome> = {}): HealthState {
    this.now += ROUND_MS
    const outcomes = this.health.sizes().map((bytes) => ({ bytes, passed: bytes <= path, ...more }))
    this.health.observe(outcomes, facts, this.now)
    return this.health.report().state
  }

  rounds(...paths: number[]): HealthState[] {
    return paths.map((path) => this.round(path))
  }
}

const OPEN = 1500
const NARROW = 1300
const CUT = 0
const path = fc.constantFrom(OPEN, NARROW, CUT)
const paths = fc.array(path, { maxLength: 40 })

describe("the state", () => {
  test("of a peer that answers is up at once, of one that never did down after three rounds", () => {
    expect(new Peer().rounds(OPEN)).toEqual(["up"])
    expect(new Peer().rounds(CUT, CUT, CUT)).toEqual(["new", "new", "down"])
    expect(new Peer().rounds(NARROW, NARROW, NARROW)).toEqual(["new", "new", "degraded"])
  })

  test("follows three losses of five, and two good rounds in a row", () => {
    const peer = new Peer()
    peer.round(OPEN)
    expect(peer.rounds(CUT, OPEN, CUT, OPEN, CUT)).toEqual(["up", "up", "up", "up", "down"])
    expect(peer.health.report().sinceMs).toBe(60_000)
    expect(peer.rounds(OPEN, CUT, OPEN, OPEN)).toEqual(["down", "down", "down", "up"])
  })

  test("degraded names the largest size, and a path that widens is up again", () => {
    const peer = new Peer()
    peer.rounds(OPEN, NARROW, NARROW, NARROW, NARROW, NARROW, NARROW, NARROW)
    const report = peer.health.report()
    expect(report.state).toBe("degraded")
    expect(report.largestBytes).toBe(NARROW)
    expect(report.isExact).toBe(true)
    expect(report.repair).toBe("none")
    expect(peer.rounds(OPEN, OPEN)).toEqual(["degraded", "up"])
    expect(peer.health.report().largestBytes).toBeUndefined()
  })

  test("never follows one lost round", () => {
    fc.assert(
      fc.property(fc.constantFrom(OPEN, NARROW), fc.array(fc.nat({ max: 8 })), (usual, gaps) => {
        const peer = new Peer()
        for (let round = 0; round < 8; round++) peer.round(usual)
        const state = peer.health.report().state
        for (const gap of gaps) {
          expect(peer.round(CUT)).toBe(state)
          // Two of any five are lost at the most.
          for (let round = 0; round < gap + 2; round++) expect(peer.round(usual)).toBe(state)
        }
      }),
    )
  })

  test("stays for two rounds or more, whatever comes", () => {
    fc.assert(
      fc.property(paths, (all) => {
        const peer = new Peer()
        let changedAt = Number.NEGATIVE_INFINITY
        let state: HealthState = "new"
        for (const [round, one] of all.entries()) {
          const next = peer.round(one)
          if (next === state) continue
          if (state !== "new") expect(round - changedAt).toBeGreaterThanOrEqual(2)
          if (next === "down" && state !== "new") {
            expect(round - changedAt).toBeGreaterThanOrEqual(3)
          }
          changedAt = round
          state = next
        }
      }),
    )
  })

  test("becomes what the path is, from whatever was before", () => {
    fc.assert(
      fc.property(paths, path, (before, then) => {
        const peer = new Peer()
        peer.rounds(...before)
        // Three failures fill a window, two rounds lead out of down, and three more into degraded.
        for (let round = 0; round < 8; round++) peer.round(then)
        const wanted = { [OPEN]: "up", [NARROW]: "degraded", [CUT]: "down" }[then]
        expect<string | undefined>(peer.health.report().state).toBe(wanted)
        for (let round = 0; round < 8; round++) peer.round(then)
        if (then === NARROW) expect(peer.health.report().largestBytes).toBe(NARROW)
      }),
    )
  })

  test("is not touched by a round in which nothing was asked", () => {
    const peer = new Peer()
    peer.round(OPEN)
    expect(peer.health.observe([], { alive: false }, 1)).toBe(false)
    expect(peer.health.report().state).toBe("up")
  })
})

describe("sizes", () => {
  test("are two for a peer that is well, eleven at the most, each once", () => {
    fc.assert(
      fc.property(paths, (all) => {
        const peer = new Peer()
        for (const one of all) {
          peer.round(one)
          const sizes = peer.health.sizes()
          const { state } = peer.health.report()
          if (state !== "degraded") expect(sizes).toEqual([100, FULL])
          expect(sizes.length).toBeLessThanOrEqual(11)
          expect(new Set(sizes).size).toBe(sizes.length)
          for (const size of sizes) expect(size).toBeLessThanOrEqual(FULL)
        }
      }),
    )
  })

  test("follow another MTU; a search begins anew", () => {
    const peer = new Peer()
    peer.rounds(OPEN, NARROW, NARROW, NARROW, NARROW)
    peer.health.setFullBytes(1400)
    expect(peer.health.sizes()).toContain(1400)
    expect(Math.max(...peer.health.sizes())).toBe(1400)
    peer.health.setFullBytes(1300)
    expect(peer.rounds(NARROW, NARROW)).toEqual(["degraded", "up"])
  })

  test("of a network with tiny packets are one", () => {
    const health = new PeerHealth(90, 0)
    expect(health.sizes()).toEqual([90])
    health.observe([{ bytes: 90, passed: false }], FINE, 1)
    health.observe([{ bytes: 90, passed: true, rttMs: 3 }], FINE, 2)
    expect(health.report().state).toBe("up")
  })
})

describe("the reason, and what mends it", () => {
  test("comes from counters that grew since the peer was heard, not from old ones", () => {
    const peer = new Peer()
    const before = { ...FINE, replayed: 70, unauthentic: 9 }
    peer.round(OPEN, before)
    for (let round = 0; round < 3; round++) peer.round(CUT, before)
    expect(peer.health.report()).toMatchObject({ state: "down", reason: "unknown" })
    peer.round(CUT, { ...before, replayed: 71 })
    expect(peer.health.report()).toMatchObject({ reason: "replay", repair: "rotate-keys" })
    peer.round(CUT, { ...before, replayed: 71, unauthentic: 12 })
    expect(peer.health.report().reason).toBe("authentication")
    peer.round(OPEN, { ...before, replayed: 71, unauthentic: 12 })
    peer.round(OPEN)
    expect(peer.health.report()).toMatchObject({ state: "up", reason: undefined, repair: "none" })
  })

  test("of a first agent's own start says nothing of what was counted before", () => {
    const peer = new Peer()
    for (let round = 0; round < 3; round++) peer.round(CUT, { ...FINE, unauthentic: 5 })
    expect(peer.health.report().reason).toBe("unknown")
  })

  test("of a host that is gone is that, with nothing to mend", () => {
    const peer = new Peer()
    for (let round = 0; round < 3; round++) peer.round(CUT, { alive: false, saPair: false })
    expect(peer.health.report()).toMatchObject({ reason: "host-gone", repair: "none" })
  })

  test("what could not be sent is told by its errno", () => {
    const peer = new Peer()
    for (let round = 0; round < 3; round++) peer.round(CUT, {}, { sendErrno: 1 })
    expect(peer.health.report()).toMatchObject({ reason: "no-policy", repair: "reinstall" })
  })

  test("what is missing here is mended before the peer is down", () => {
    const peer = new Peer()
    peer.round(OPEN)
    peer.round(CUT, { ...FINE, saPair: false })
    expect(peer.health.report()).toMatchObject({ state: "up", repair: "rotate-keys" })
    peer.round(OPEN)
    expect(peer.health.report().repair).toBe("none")
  })
})

test("round trips are the small probe's, smoothed; losses are counted over the window", () => {
  const peer = new Peer()
  peer.round(OPEN, FINE, { rttMs: 8 })
  peer.round(OPEN, FINE, { rttMs: 16 })
  peer.round(OPEN)
  peer.round(CUT, FINE, { rttMs: 999 })
  const { roundTrip, loss } = peer.health.report()
  expect(roundTrip).toEqual({ smoothedMs: 9, variationMs: 5 })
  // The first round made the peer up, and the count began anew.
  expect(loss).toBeCloseTo(1 / 3)
})
