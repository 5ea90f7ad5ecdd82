import { describe, expect, test } from "bun:test"
import { generateKeyPairSync, randomBytes } from "node:crypto"
import { inspect } from "node:util"
import fc from "fast-check"
import { LariatError } from "../../errors.ts"
import { fingerprint, HostIdentity, isPublicKey, verifySignature } from "./identity.ts"

const identity = HostIdentity.create((bytes) => new Uint8Array(bytes).fill(7))

function thrownBy(run: () => void): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error("nothing was thrown")
}

describe("an identity", () => {
  test("has the public key of RFC 8032 §7.1, test 1", () => {
    const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    const known = HostIdentity.create(() => Buffer.from(seed, "hex"))
    expect(Buffer.from(known.publicKey, "base64url").toString("hex")).toBe(
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    )
  })

  test("is the same after its file was written and read, PEM or JWK", () => {
    expect(HostIdentity.load(identity.toPem()).publicKey).toBe(identity.publicKey)
    const { privateKey, publicKey } = generateKeyPairSync("ed25519")
    const loaded = HostIdentity.load(JSON.stringify(privateKey.export({ format: "jwk" })))
    expect(loaded.publicKey).toBe(publicKey.export({ format: "jwk" }).x ?? "")
  })

  test("takes its seed from the generator given, asks for 32 bytes and wipes them", () => {
    const given: Uint8Array[] = []
    HostIdentity.create((bytes) => {
      const seed = Uint8Array.from(randomBytes(bytes))
      given.push(seed)
      return seed
    })
    expect(given).toEqual([new Uint8Array(32)])
    expect(() => HostIdentity.create(() => new Uint8Array(31))).toThrow("31 random bytes")
  })

  test("of another kind, a public one, or rubbish is refused without being quoted", () => {
    const rsa = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
    const pair = generateKeyPairSync("ed25519")
    for (const text of [
      String(rsa.export({ format: "pem", type: "pkcs8" })),
      String(pair.publicKey.export({ format: "pem", type: "spki" })),
      JSON.stringify(pair.publicKey.export({ format: "jwk" })),
      "",
      "{secretsecret",
      "secretsecret",
    ]) {
      const error = thrownBy(() => HostIdentity.load(text))
      expect(error).toBeInstanceOf(LariatError)
      expect(error).toMatchObject({ code: "config-invalid" })
      expect(inspect(error)).not.toContain("secretsecret")
    }
  })

  test("shows no private key", () => {
    const secret = identity.toPem().split("\n")[1] ?? "none"
    const raw = Buffer.alloc(32, 7).toString("base64url")
    for (const shown of [
      String(identity),
      JSON.stringify(identity),
      inspect(identity, { showHidden: true, depth: 9 }),
    ]) {
      expect(shown).toContain(identity.fingerprint)
      expect(shown).not.toContain(secret)
      expect(shown).not.toContain(raw)
    }
  })

  test("has a fingerprint of its 32 bytes", () => {
    const zeros = Buffer.alloc(32).toString("base64url")
    expect(fingerprint(zeros)).toBe("SHA256:Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU")
    expect(identity.fingerprint).toBe(fingerprint(identity.publicKey))
  })
})

describe("a signature", () => {
  const signature = identity.sign("envelope", "data")

  test("holds for its label, data and key alone", () => {
    expect(verifySignature(identity.publicKey, "envelope", "data", signature)).toBe(true)
    expect(verifySignature(identity.publicKey, "envelopes", "data", signature)).toBe(false)
    expect(verifySignature(identity.publicKey, "envelope", "data ", signature)).toBe(false)
    const other = HostIdentity.create((bytes) => randomBytes(bytes))
    expect(verifySignature(other.publicKey, "envelope", "data", signature)).toBe(false)
  })

  test("does not hold with one bit turned", () => {
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const turned = Uint8Array.from(signature)
        turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(verifySignature(identity.publicKey, "envelope", "data", turned)).toBe(false)
      }),
    )
  })

  test("label and data cannot be moved into each other", () => {
    expect(() => identity.sign("a\0b", "c")).toThrow("zero byte")
    expect(verifySignature(identity.publicKey, "a", "b\0c", identity.sign("a", "b\0c"))).toBe(true)
  })

  test("of rubbish is false and throws nothing", () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 70 }), (key, bytes) => {
        expect(verifySignature(key, "envelope", "data", bytes)).toBe(false)
      }),
    )
    const noPoint = Buffer.alloc(32, 0xff).toString("base64url")
    expect(verifySignature(noPoint, "envelope", "data", signature)).toBe(false)
  })
})

test("a public key is written in one way", () => {
  expect(isPublicKey(identity.publicKey)).toBe(true)
  const last = identity.publicKey.at(-1) ?? ""
  const next = String.fromCharCode(last.charCodeAt(0) + 1)
  for (const text of ["", `${identity.publicKey}=`, `${identity.publicKey.slice(0, -1)}${next}`]) {
    expect(isPublicKey(text)).toBe(false)
  }
})
