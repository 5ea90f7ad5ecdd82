import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  MAX_ENVELOPE_BYTES,
  PeerRefusedError,
  peek,
  type SignOptions,
  sign,
  type VerifyOptions,
  verify,
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

const signing: SignOptions = { key: KEY, hostId: "h1", sequence: 5, identity, psk }
const expected: VerifyOptions = {
  ...{ kind: "host", key: KEY, hostId: "h1", publicKey: identity.publicKey, psk },
  lastSequence: 5,
}

function refusal(text: string, options: Partial<VerifyOptions> = {}): PeerRefusedError {
  try {
    verify(text, { ...expected, ...options })
  } catch (error) {
    if (error instanceof PeerRefusedError) return error
    throw error
  }
  throw new Error("it was taken")
}

describe("an envelope", () => {
  test("gives back what was signed", () => {
    expect(verify(sign("host", BODY, signing), expected)).toEqual({ body: BODY, sequence: 5 })
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.maxSafeNat(), (body, sequence) => {
        const text = sign("host", body, { ...signing, sequence })
        const verified = verify(text, { ...expected, lastSequence: sequence })
        expect(verified).toEqual({ body: JSON.parse(JSON.stringify(body)), sequence })
      }),
      { numRuns: 50 },
    )
  })

  test("is two lines that people can read", () => {
    const lines = sign("host", BODY, signing).split("\n")
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(/^lariat1 \S{43} host \/lariat\/default\/hosts\/h1 h1 5 \S{86}$/)
    expect(JSON.parse(lines[1] ?? "")).toEqual(BODY)
  })

  test("goes without a MAC in a cluster without a key", () => {
    const text = sign("host", BODY, { ...signing, psk: undefined })
    expect(text).toStartWith("lariat1 - host ")
    expect(verify(text, { ...expected, psk: undefined }).body).toEqual(BODY)
  })

  test("of the same sequence is the same record read again, of an older one a replay", () => {
    const text = sign("host", BODY, signing)
    expect(verify(text, { ...expected, lastSequence: 5 }).sequence).toBe(5)
    expect(verify(text, { ...expected, lastSequence: undefined }).sequence).toBe(5)
    expect(refusal(text, { lastSequence: 6 }).check).toBe("sequence")
  })

  test("too long is signed by none and verified by none", () => {
    const long = "x".repeat(MAX_ENVELOPE_BYTES + 1)
    expect(() => sign("host", long, signing)).toThrow(
      expect.objectContaining({ code: "config-invalid" }),
    )
    expect(refusal(long).check).toBe("size")
    // Fewer characters than the limit, more bytes.
    expect(refusal("ü".repeat(MAX_ENVELOPE_BYTES - 1)).check).toBe("size")
    const room = MAX_ENVELOPE_BYTES - Buffer.byteLength(sign("host", "", signing))
    expect(verify(sign("host", "x".repeat(room), signing), expected).sequence).toBe(5)
    expect(() => sign("host", "x".repeat(room + 1), signing)).toThrow()
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
    expect(() => sign(kind, BODY, { ...signing, ...options })).toThrow(
      expect.objectContaining({ code: "internal" }),
    )
  })
})

describe("the check that fails is named", () => {
  const text = sign("host", BODY, signing)

  test.each<[string, string, Partial<VerifyOptions>]>([
    ["kind", text, { kind: "keys" }],
    ["key", text, { key: "/lariat/default/hosts/h2" }],
    ["host", text, { hostId: "h2" }],
    ["mac", text, { psk: otherPsk }],
    ["mac", text, { psk: undefined }],
    ["mac", sign("host", BODY, { ...signing, psk: undefined }), {}],
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
  ])("%s", (check, signed, options) => {
    const error = refusal(signed, options)
    expect(error.check).toBe(check)
    expect(error.code).toBe("peer-refused")
    expect(error.message).toContain(`: ${check}: `)
    expect(error.message).toStartWith("Cannot take /lariat/default/hosts/h")
  })

  test("for a holder of the key who signs as another", () => {
    const forged = sign("host", BODY, { ...signing, identity: identityOf(2) })
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
  const text = sign("host", BODY, signing)

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
    const error = refusal(sign("host", BODY, { ...signing, key: "k".repeat(500) }))
    expect(error.check).toBe("key")
    expect(error.message.length).toBeLessThan(300)
    expect(refusal("\u001b[2J\n x").message).not.toContain("\u001b")
  })
})

test("peek reads what nobody checked", () => {
  const text = sign("host", BODY, signing)
  expect(peek(text)).toEqual({ hostId: "h1", body: BODY })
  expect(peek("lariat1")).toBeUndefined()
  expect(peek(text.slice(0, -1))).toBeUndefined()
})
