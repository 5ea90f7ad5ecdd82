import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  MAX_ENVELOPE_BYTES,
  type OpenOptions,
  open,
  PeerRefusedError,
  peek,
  type SealOptions,
  seal,
} from "./envelope.ts"
import { HostIdentity } from "./identity.ts"
import { parsePsk } from "./psk.ts"

const identityOf = (byte: number) =>
  HostIdentity.create((bytes) => new Uint8Array(bytes).fill(byte))
const identity = identityOf(1)
const psk = parsePsk("p".repeat(32))
const otherPsk = parsePsk("q".repeat(32))
const KEY = "/lariat/default/hosts/h1"
const BODY = { name: "edge-1", list: [1, 2], text: "a\nb ü" }

const sealing: SealOptions = { key: KEY, hostId: "h1", sequence: 5, identity, psk }
const opening: OpenOptions = {
  ...{ kind: "host", key: KEY, hostId: "h1", publicKey: identity.publicKey, psk },
  lastSequence: 5,
}

function refusal(text: string, options: Partial<OpenOptions> = {}): PeerRefusedError {
  try {
    open(text, { ...opening, ...options })
  } catch (error) {
    if (error instanceof PeerRefusedError) return error
    throw error
  }
  throw new Error("it was taken")
}

describe("an envelope", () => {
  test("gives back what was sealed", () => {
    expect(open(seal("host", BODY, sealing), opening)).toEqual({ body: BODY, sequence: 5 })
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.maxSafeNat(), (body, sequence) => {
        const text = seal("host", body, { ...sealing, sequence })
        const opened = open(text, { ...opening, lastSequence: sequence })
        expect(opened).toEqual({ body: JSON.parse(JSON.stringify(body)), sequence })
      }),
      { numRuns: 50 },
    )
  })

  test("is two lines that people can read", () => {
    const lines = seal("host", BODY, sealing).split("\n")
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(/^lariat1 \S{43} host \/lariat\/default\/hosts\/h1 h1 5 \S{86}$/)
    expect(JSON.parse(lines[1] ?? "")).toEqual(BODY)
  })

  test("goes without a MAC in a cluster without a key", () => {
    const text = seal("host", BODY, { ...sealing, psk: undefined })
    expect(text).toStartWith("lariat1 - host ")
    expect(open(text, { ...opening, psk: undefined }).body).toEqual(BODY)
  })

  test("of the same sequence is the same record read again, of an older one a replay", () => {
    const text = seal("host", BODY, sealing)
    expect(open(text, { ...opening, lastSequence: 5 }).sequence).toBe(5)
    expect(open(text, { ...opening, lastSequence: undefined }).sequence).toBe(5)
    expect(refusal(text, { lastSequence: 6 }).check).toBe("sequence")
  })

  test("too long is sealed by none and opened by none", () => {
    const long = "x".repeat(MAX_ENVELOPE_BYTES + 1)
    expect(() => seal("host", long, sealing)).toThrow(
      expect.objectContaining({ code: "config-invalid" }),
    )
    expect(refusal(long).check).toBe("size")
    // Fewer characters than the limit, more bytes.
    expect(refusal("ü".repeat(MAX_ENVELOPE_BYTES - 1)).check).toBe("size")
    const room = MAX_ENVELOPE_BYTES - Buffer.byteLength(seal("host", "", sealing))
    expect(open(seal("host", "x".repeat(room), sealing), opening).sequence).toBe(5)
    expect(() => seal("host", "x".repeat(room + 1), sealing)).toThrow()
  })

  test.each([
    ["no_kind", {}],
    ["host", { key: "a b" }],
    ["host", { key: "a\nb" }],
    ["host", { hostId: "" }],
    ["host", { hostId: "a/b" }],
    ["host", { sequence: -1 }],
    ["host", { sequence: 0.5 }],
    ["host", { sequence: 2 ** 53 }],
  ])("of kind %s with %j is a fault of ours", (kind, options) => {
    expect(() => seal(kind, BODY, { ...sealing, ...options })).toThrow(
      expect.objectContaining({ code: "internal" }),
    )
  })
})

describe("the check that fails is named", () => {
  const text = seal("host", BODY, sealing)

  test.each<[string, string, Partial<OpenOptions>]>([
    ["kind", text, { kind: "keys" }],
    ["key", text, { key: "/lariat/default/hosts/h2" }],
    ["host", text, { hostId: "h2" }],
    ["mac", text, { psk: otherPsk }],
    ["mac", text, { psk: undefined }],
    ["mac", seal("host", BODY, { ...sealing, psk: undefined }), {}],
    ["signature", text, { publicKey: identityOf(2).publicKey }],
    ["signature", text, { publicKey: "" }],
    ["format", "", {}],
    ["format", "{}", {}],
    ["format", "{}\n{}", {}],
    ["format", text.replace("lariat1", "lariat2"), {}],
    ["format", text.replace(" 5 ", " 05 "), {}],
    ["format", text.replace(" 5 ", " 9007199254740992 "), {}],
    ["format", text.replace("\n", " \n"), {}],
    ["format", text.replace("\n", ""), {}],
  ])("%s", (check, sealed, options) => {
    const error = refusal(sealed, options)
    expect(error.check).toBe(check)
    expect(error.code).toBe("peer-refused")
    expect(error.message).toContain(`: ${check}: `)
    expect(error.message).toStartWith("Cannot take /lariat/default/hosts/h")
  })

  test("for a holder of the key who signs as another", () => {
    const forged = seal("host", BODY, { ...sealing, identity: identityOf(2) })
    expect(refusal(forged).check).toBe("signature")
  })

  test("for a body that is signed and no JSON", () => {
    const head = `host ${KEY} h1 5`
    const signature = Buffer.from(identity.sign("envelope", `${head}\n{`)).toString("base64url")
    const rest = `${head} ${signature}\n{`
    const mac = Buffer.from(psk.mac(rest)).toString("base64url")
    expect(refusal(`lariat1 ${mac} ${rest}`).check).toBe("format")
  })

  test("the MAC before the signature, which is dear", () => {
    const both = { psk: otherPsk, publicKey: identityOf(2).publicKey }
    expect(refusal(text, both).check).toBe("mac")
  })
})

describe("bad input", () => {
  const text = seal("host", BODY, sealing)

  test("one changed character anywhere is refused", () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, c) => {
        fc.pre(text[at] !== c)
        expect(refusal(text.slice(0, at) + c + text.slice(at + 1)).code).toBe("peer-refused")
      }),
      { numRuns: 300 },
    )
  })

  test("cut, doubled, or any text is refused", () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ unit: "binary" }), (at, noise) => {
        for (const bad of [text.slice(0, at), text + text, noise, `lariat1 ${noise}`]) {
          expect(refusal(bad).code).toBe("peer-refused")
        }
      }),
    )
  })

  test("messages stay short and on one line whatever it says", () => {
    const error = refusal(seal("host", BODY, { ...sealing, key: "k".repeat(500) }))
    expect(error.check).toBe("key")
    expect(error.message.length).toBeLessThan(300)
    expect(refusal("\u001b[2J\n x").message).not.toContain("\u001b")
  })
})

test("peek reads what nobody checked", () => {
  const text = seal("host", BODY, sealing)
  expect(peek(text)).toEqual({ hostId: "h1", body: BODY })
  expect(peek("lariat1")).toBeUndefined()
  expect(peek(text.slice(0, -1))).toBeUndefined()
})
