import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { PeerRefusedError, sign } from "./envelope.ts"
import { HostIdentity } from "./identity.ts"
import { MAX_KEYS_PER_HOST, Pins } from "./pins.ts"
import { parsePsk } from "./psk.ts"

const identities = [1, 2, 3].map((byte) =>
  HostIdentity.create((bytes) => new Uint8Array(bytes).fill(byte)),
)
const [one, two] = identities as [HostIdentity, HostIdentity]
const psk = parsePsk("p".repeat(32))

function check(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof PeerRefusedError) return error.check
    throw error
  }
  return "taken"
}

const KEY = "/c/hosts/h1"
const expected = { kind: "host", key: KEY, hostId: "h1", psk }
const signed = (sequence: number, identity = one, key = KEY) =>
  sign("host", { sequence }, { key, hostId: "h1", sequence, identity, psk })

describe("an identity", () => {
  test("is pinned at first sight and taken ever after", () => {
    const pins = new Pins()
    expect(pins.get("h1")).toBeUndefined()
    pins.take("h1", { publicKey: one.publicKey, number: 7 })
    pins.take("h1", { publicKey: one.publicKey, number: 7 })
    expect(pins.get("h1")).toEqual({ publicKey: one.publicKey, number: 7 })
    expect(pins.hostOf(7)).toBe("h1")
  })

  test.each([
    ["public-key", "h1", two, 7],
    ["public-key", "h1", two, 8],
    ["number", "h1", one, 8],
    ["number", "h2", two, 7],
    ["number", "h2", one, 7],
    ["taken", "h2", two, 8],
  ] as const)("%s: host %s", (expected, hostId, identity, number) => {
    const pins = new Pins()
    pins.take("h1", { publicKey: one.publicKey, number: 7 })
    expect(check(() => pins.take(hostId, { publicKey: identity.publicKey, number }))).toBe(expected)
    expect(pins.get("h1")).toEqual({ publicKey: one.publicKey, number: 7 })
    expect(pins.get("h2") === undefined).toBe(expected !== "taken")
  })
})

describe("an envelope", () => {
  test("is verified with the pinned key, and never an older one again", () => {
    const pins = new Pins()
    expect(check(() => pins.verify(signed(5), expected))).toBe("unknown-host")
    pins.take("h1", { publicKey: one.publicKey, number: 7 })
    expect(pins.verify(signed(5), expected)).toEqual({ sequence: 5 })
    expect(check(() => pins.verify(signed(4), expected))).toBe("sequence")
    expect(check(() => pins.verify(signed(9, two), expected))).toBe("signature")
    expect(pins.verify(signed(5), expected)).toEqual({ sequence: 5 })
    const other = "/c/keys/h1"
    expect(pins.verify(signed(1, one, other), { ...expected, key: other })).toEqual({ sequence: 1 })
  })

  test("of a host with too many records is refused, those it has go on", () => {
    const sequences = Array.from({ length: MAX_KEYS_PER_HOST - 1 }, (_, n) => ({
      ...{ hostId: "h1", key: `/c/x/${n}`, sequence: 0 },
    }))
    const pins = new Pins({
      pins: [{ hostId: "h1", publicKey: one.publicKey, number: 7 }],
      sequences,
    })
    expect(check(() => pins.verify(signed(1), expected))).toBe("taken")
    const other = "/c/keys/h1"
    expect(check(() => pins.verify(signed(1, one, other), { ...expected, key: other }))).toBe(
      "limit",
    )
    expect(check(() => pins.verify(signed(2), expected))).toBe("taken")
  })
})

describe("records that are gone", () => {
  const key = (n: number) => `/c/x/${n}`
  const at = (n: number, sequence: number) => ({
    text: sign("x", 0, { key: key(n), hostId: "h1", sequence, identity: one, psk }),
    options: { kind: "x", key: key(n), hostId: "h1", psk },
  })
  const seen = () =>
    new Pins({ pins: [{ hostId: "h1", publicKey: one.publicKey, number: 7 }], sequences: [] })
  const verified = (pins: Pins, n: number, sequence: number) => {
    const { text, options } = at(n, sequence)
    return check(() => pins.verify(text, options))
  }

  test("may come and go without end, and are remembered in bounded room", () => {
    const pins = seen()
    const rounds = 10_000
    for (let n = 1; n <= rounds; n++) {
      expect(verified(pins, n, n)).toBe("taken")
      pins.forget(key(n))
    }
    expect(pins.rows().sequences.length).toBeLessThan(5000)
    // What went is not taken again, whether it is remembered by itself or not.
    for (const n of [1, 100, rounds - 1]) expect(verified(pins, n, n - 1)).toBe("sequence")
    expect(verified(pins, 1, 1)).toBe("sequence")
    // One that is written anew is.
    expect(verified(pins, 1, rounds + 1)).toBe("taken")
  }, 60_000)

  test("do not take those along that stand", () => {
    const pins = seen()
    expect(verified(pins, 0, 1)).toBe("taken")
    for (let n = 2; n < 6000; n++) {
      expect(verified(pins, n, n)).toBe("taken")
      pins.forget(key(n))
    }
    expect(verified(pins, 0, 1)).toBe("taken")
  }, 60_000)
})

describe("rows", () => {
  test("put back make the same pins; changes put after one another make the same rows", () => {
    const step = fc.oneof(
      fc.record({ host: fc.nat(2), number: fc.integer({ min: 1, max: 3 }), key: fc.nat(2) }),
      fc.record({ host: fc.nat(2), key: fc.nat(1), sequence: fc.nat(3) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const pins = new Pins()
        for (const each of steps) {
          check(() => {
            const hostId = `h${each.host}`
            const identity = identities[each.host] as HostIdentity
            if ("number" in each) {
              const { publicKey } = identities[each.key] as HostIdentity
              return pins.take(hostId, { publicKey, number: each.number })
            }
            const key = `/c/${each.key}/${hostId}`
            const text = sign("x", 0, { key, hostId, sequence: each.sequence, identity, psk })
            return pins.verify(text, { kind: "x", key, hostId, psk })
          })
        }
        const rows = pins.rows()
        expect(new Pins(rows).rows()).toEqual(rows)
      }),
      { numRuns: 60 },
    )
  })

  const pin = { hostId: "h1", publicKey: one.publicKey, number: 7 }
  test.each([
    { pins: [{ ...pin, publicKey: "x" }], sequences: [] },
    { pins: [{ ...pin, number: 0 }], sequences: [] },
    { pins: [pin, { ...pin, number: 8 }], sequences: [] },
    { pins: [pin, { ...pin, hostId: "h2" }], sequences: [] },
    { pins: [], sequences: [{ hostId: "h1", key: "k", sequence: 1 }] },
    { pins: [pin], sequences: [{ hostId: "h1", key: "k", sequence: -1 }] },
  ])("that contradict themselves are not taken: %j", (rows) => {
    expect(() => new Pins(rows)).toThrow(expect.objectContaining({ code: "decode" }))
  })
})
