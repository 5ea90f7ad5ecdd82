import { describe, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { CIPHERS, type Cipher } from "../../core/encapsulation.ts"
import { PeerRefusedError } from "../records/envelope.ts"
import { parsePsk } from "../records/psk.ts"
import {
  keymatBytes,
  PairKeys,
  type PairSide,
  prfPlus,
  publicValueOf,
  sharedSecret,
  skeyseed,
} from "./key_agreement.ts"

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"))
const hex = (each: Uint8Array): string => Buffer.from(each).toString("hex")

interface VectorSide {
  readonly hostId: string
  readonly number: number
  readonly generation: number
  readonly privateValue: string
  readonly publicValue: string
  readonly nonce: string
}

/** Of test/fixtures/keys/vectors.json, computed by generate.py beside it. */
interface Vector {
  readonly psk: string
  readonly cluster: string
  readonly network: number
  readonly cipher: Cipher
  readonly own: VectorSide
  readonly peer: VectorSide
  readonly sharedSecret: string
  readonly skeyseed: string
  readonly outbound: { readonly spi: number; readonly key: string }
  readonly inbound: { readonly spi: number; readonly key: string }
}

const fixture = join(import.meta.dirname, "../../../test/fixtures/keys/vectors.json")
const vectors: readonly Vector[] = JSON.parse(readFileSync(fixture, "utf8"))

const sideOf = ({ hostId, number, generation, publicValue, nonce }: VectorSide): PairSide => ({
  ...{ hostId, number },
  generation: { generation, publicValue: bytes(publicValue), nonce: bytes(nonce) },
})

describe("X25519", () => {
  test.each([
    [
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ],
    [
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ],
  ])("is that of RFC 7748 §5.2: %s", (scalar, point, expected) => {
    expect(hex(sharedSecret(bytes(scalar), bytes(point)))).toBe(expected)
  })

  test("is that of RFC 7748 §6.1 from both sides", () => {
    const alice = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    const bob = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    const secret = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    expect(hex(publicValueOf(alice))).toBe(
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    )
    expect(hex(publicValueOf(bob))).toBe(
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    )
    expect(hex(sharedSecret(alice, publicValueOf(bob)))).toBe(secret)
    expect(hex(sharedSecret(bob, publicValueOf(alice)))).toBe(secret)
  })

  test.each([
    // Points of order 4, 1, 8, 8, 2, and 0 and 1 written past the field's prime.
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "",
    "00",
  ])("gives no secret with %s", (point) => {
    const run = () => sharedSecret(new Uint8Array(randomBytes(32)), bytes(point))
    expect(run).toThrow(PeerRefusedError)
    expect(run).toThrow(expect.objectContaining({ check: "public-value" }))
  })

  test("with a private value of another length is a fault of ours", () => {
    const run = () => sharedSecret(new Uint8Array(31), bytes("09".padEnd(64, "0")))
    expect(run).toThrow(expect.objectContaining({ code: "internal" }))
  })
})

describe("prf+", () => {
  test.each([
    [
      "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
      "f0f1f2f3f4f5f6f7f8f9",
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ],
    [
      "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
      Array.from({ length: 80 }, (_, n) => (0xb0 + n).toString(16)).join(""),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ],
    [
      "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
      "",
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ],
  ])("is the expansion of RFC 5869, appendices A.1 to A.3", (key, seed, expected) => {
    expect(hex(prfPlus(bytes(key), bytes(seed), expected.length / 2))).toBe(expected)
  })

  test("of a shorter length is the start of a longer one, up to 255 blocks", () => {
    const key = bytes("00".repeat(32))
    const whole = prfPlus(key, key, 255 * 32)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 255 * 32 }), (length) => {
        expect(hex(prfPlus(key, key, length))).toBe(hex(whole.subarray(0, length)))
      }),
    )
    for (const length of [0, -1, 0.5, 255 * 32 + 1]) {
      expect(() => prfPlus(key, key, length)).toThrow(expect.objectContaining({ code: "internal" }))
    }
  })
})

describe("keys of a pair", () => {
  test.each(vectors.map((vector, n) => [n, vector.cipher, vector] as const))(
    "are those of an independent computation: %d, %s",
    (_, cipher, vector) => {
      const privateValue = bytes(vector.own.privateValue)
      expect(hex(publicValueOf(privateValue))).toBe(vector.own.publicValue)
      const secret = sharedSecret(privateValue, bytes(vector.peer.publicValue))
      expect(hex(secret)).toBe(vector.sharedSecret)
      const ordered = [vector.own, vector.peer].sort((a, b) => (a.hostId < b.hostId ? -1 : 1))
      expect(hex(skeyseed(bytes(ordered.map(({ nonce }) => nonce).join("")), secret))).toBe(
        vector.skeyseed,
      )
      const ppk = parsePsk(vector.psk, { cluster: vector.cluster }).ppk()
      const pair = new PairKeys(sideOf(vector.own), privateValue, sideOf(vector.peer), ppk)
      const { inbound, outbound } = pair.associationKeys({ number: vector.network, cipher })
      expect({ spi: inbound.spi, key: hex(inbound.key) }).toEqual(vector.inbound)
      expect({ spi: outbound.spi, key: hex(outbound.key) }).toEqual(vector.outbound)
    },
  )

  const ppk = parsePsk("p".repeat(32)).ppk()
  interface Host {
    readonly privateValue: Uint8Array
    readonly side: PairSide
  }
  const host = (hostId: string, number: number, generation: number): Host => {
    const privateValue = new Uint8Array(randomBytes(32))
    const nonce = new Uint8Array(randomBytes(32))
    const publicValue = publicValueOf(privateValue)
    return {
      privateValue,
      side: { hostId, number, generation: { generation, publicValue, nonce } },
    }
  }
  const keysOf = (own: Host, peer: Host, key = ppk) =>
    new PairKeys(own.side, own.privateValue, peer.side, key)
  const a = host("a", 1, 5)
  const b = host("b", 2, 9)

  test("are the same on both sides, and differ by direction, network and cipher", () => {
    const seen = new Set<string>()
    for (const number of [0, 1, 15]) {
      for (const cipher of CIPHERS) {
        const here = keysOf(a, b).associationKeys({ number, cipher })
        const there = keysOf(b, a).associationKeys({ number, cipher })
        expect(there).toEqual({ inbound: here.outbound, outbound: here.inbound })
        for (const { key } of [here.inbound, here.outbound]) {
          expect(key).toHaveLength(keymatBytes(cipher))
          seen.add(hex(key.subarray(0, 20)))
        }
      }
    }
    expect(seen.size).toBe(3 * CIPHERS.length * 2)
  })

  test("change with anything that they are bound to", () => {
    const network = { number: 0, cipher: "aes256gcm16" } as const
    const outbound = (own: Host, peer: Host, key = ppk) =>
      hex(keysOf(own, peer, key).associationKeys(network).outbound.key)
    const changed = (each: Host, side: Partial<PairSide>): Host => ({
      ...each,
      side: { ...each.side, ...side },
    })
    const all = [
      outbound(a, b),
      outbound(changed(a, { hostId: "aa" }), b),
      outbound(a, changed(b, { hostId: "bb" })),
      outbound(changed(a, { number: 3 }), b),
      outbound(changed(a, { generation: { ...a.side.generation, generation: 6 } }), b),
      outbound(a, changed(b, { generation: { ...b.side.generation, generation: 9 + 64 } })),
      outbound(a, changed(b, { generation: { ...b.side.generation, nonce: ppk } })),
      outbound(a, host("b", 2, 9)),
      outbound(host("a", 1, 5), b),
      outbound(a, b, parsePsk("q".repeat(32)).ppk()),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  test("come from nothing that stays after the pair was wiped", () => {
    const pair = keysOf(a, b)
    const network = { number: 0, cipher: "aes128gcm16" } as const
    const before = hex(pair.associationKeys(network).inbound.key)
    pair.wipe()
    expect(hex(pair.associationKeys(network).inbound.key)).not.toBe(before)
  })
})
