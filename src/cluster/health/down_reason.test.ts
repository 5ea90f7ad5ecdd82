import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { downReason, grown, localDefect, type PeerFacts, repairOf } from "./down_reason.ts"

const STILL = { replayed: 0, unauthentic: 0 }
const FINE: PeerFacts = { alive: true, route: true, policy: true, saPair: true }

describe("why a peer is down", () => {
  test.each([
    [
      "its presence ended, whatever else is gone",
      { alive: false, route: false },
      STILL,
      101,
      "host-gone",
    ],
    [
      "no route, said by the kernel's tables",
      { ...FINE, route: false },
      STILL,
      undefined,
      "no-route",
    ],
    ["no route, said by the send", FINE, STILL, 101, "no-route"],
    ["no policy", { ...FINE, policy: false, saPair: false }, STILL, undefined, "no-policy"],
    ["blocked as clear text", {}, STILL, 1, "no-policy"],
    ["no association", { ...FINE, saPair: false }, STILL, undefined, "no-sa"],
    ["a send that finds none", FINE, STILL, 3, "no-sa"],
    ["a socket that is full", FINE, STILL, 11, "unknown"],
    ["a wrong key", FINE, { unauthentic: 3, replayed: 9 }, undefined, "authentication"],
    ["replayed packets", FINE, { unauthentic: 0, replayed: 9 }, undefined, "replay"],
    ["an errno without a meaning", FINE, STILL, 105, "unknown"],
    ["a store that is away, and nothing else", { alive: undefined }, STILL, undefined, "unknown"],
  ] as const)("%s", (_, facts, growth, errno, reason) => {
    expect(downReason(facts, growth, errno)).toBe(reason)
  })

  test("a host that is gone needs no repair, everything else has one", () => {
    expect(repairOf("host-gone")).toBe("none")
    expect(repairOf("no-policy")).toBe("reinstall")
    expect(repairOf("no-route")).toBe("reinstall")
    for (const reason of ["no-sa", "authentication", "replay", "unknown"] as const) {
      expect(repairOf(reason)).toBe("rotate-keys")
    }
  })

  test("what is missing here is no defect where the host is gone", () => {
    expect(localDefect({ ...FINE, policy: false })).toBe("no-policy")
    expect(localDefect({ alive: false, policy: false, saPair: false })).toBeUndefined()
    expect(localDefect({})).toBeUndefined()
  })
})

test("a count that starts over belongs to a new association", () => {
  const count = fc.nat()
  fc.assert(
    fc.property(count, count, (before, now) => {
      const growth = grown(before, now)
      expect(growth).toBe(now >= before ? now - before : now)
      expect(grown(before, undefined)).toBe(0)
      expect(grown(undefined, now)).toBe(now)
    }),
  )
})
