import { describe, expect, test } from "bun:test"
import { createHmac } from "node:crypto"
import { inspect } from "node:util"
import fc from "fast-check"
import { LariatError } from "../../errors.ts"
import { PreSharedKey, parsePsk } from "./psk.ts"

const TEXT = "Qx2mVb9s0LkT4uYw7eRz1aHc8nGd5fJp"
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

function refusal(text: string | Uint8Array): LariatError {
  try {
    parsePsk(text)
  } catch (error) {
    if (error instanceof LariatError) return error
  }
  throw new Error("it was taken")
}

describe("the file of the key", () => {
  test.each(["\n", "\r\n"])("one line end after the key is none of it", (end) => {
    expect(hex(parsePsk(TEXT + end).ppk())).toBe(hex(parsePsk(TEXT).ppk()))
  })

  test("a second line end, and a blank, are part of it", () => {
    const keys = [TEXT, `${TEXT}\n\n`, `${TEXT} `, ` ${TEXT}`].map((text) =>
      hex(parsePsk(text).ppk()),
    )
    expect(new Set(keys).size).toBe(4)
  })

  test("text and its bytes are the same key", () => {
    expect(hex(parsePsk(Buffer.from(`${TEXT}\n`)).ppk())).toBe(hex(parsePsk(TEXT).ppk()))
  })

  test.each([
    ["", "it is empty"],
    ["\n", "it is empty"],
    [TEXT.slice(1), "it has 31 bytes, and 32 is the least"],
    [`${TEXT.slice(1)}\n`, "it has 31 bytes, and 32 is the least"],
    ["x".repeat(4097), "it has 4097 bytes, and 4096 is the most"],
  ])("%j is refused with the reason and the way to make one", (text, why) => {
    const error = refusal(text)
    expect(error.code).toBe("config-invalid")
    expect(error.message).toBe(`Cannot use the pre-shared key: ${why}`)
    expect(error.hint).toContain("openssl rand -base64 48")
  })

  test("a refusal does not quote the key", () => {
    const short = "hunter2hunter2hunter2"
    const error = refusal(short)
    expect(`${error.message} ${error.hint} ${inspect(error)}`).not.toContain("hunter2")
  })
})

describe("keys made from it", () => {
  /** HKDF by hand, RFC 5869 §2.2 and §2.3, with one block. */
  function hkdf(info: string): string {
    const prk = createHmac("sha256", "lariat psk 1").update(TEXT).digest()
    return createHmac("sha256", prk).update(`${info}\x01`).digest("hex")
  }

  test("are HKDF-SHA-256 with the purpose as info", () => {
    const psk = parsePsk(TEXT)
    expect(hex(psk.ppk())).toBe(hkdf("8:lariat 17:default3:ppk"))
    const key = Buffer.from(hkdf("8:lariat 17:default12:envelope mac"), "hex")
    expect(hex(psk.mac("x"))).toBe(createHmac("sha256", key).update("x").digest("hex"))
    expect(hex(psk.pairSecret("wireguard", "b", "a"))).toBe(
      hkdf("8:lariat 17:default11:pair secret9:wireguard1:a1:b"),
    )
  })

  test("differ between clusters", () => {
    expect(hex(parsePsk(TEXT, { cluster: "edge" }).ppk())).not.toBe(hex(parsePsk(TEXT).ppk()))
    expect(hex(parsePsk(TEXT, { cluster: "default" }).ppk())).toBe(hex(parsePsk(TEXT).ppk()))
  })

  test("of a pair are the same from both sides, and another's for every other pair", () => {
    const psk = parsePsk(TEXT)
    const word = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom("a", "1", ":") })
    fc.assert(
      fc.property(fc.tuple(word, word, word), fc.tuple(word, word, word), (one, two) => {
        const [label, a, b] = one
        expect(hex(psk.pairSecret(label, a, b))).toBe(hex(psk.pairSecret(label, b, a)))
        const same =
          label === two[0] && [a, b].sort().join("/") === [two[1], two[2]].sort().join("/")
        expect(hex(psk.pairSecret(...one)) === hex(psk.pairSecret(...two))).toBe(same)
      }),
    )
  })
})

describe("the key keeps to itself", () => {
  test("in text, JSON and inspection", () => {
    const psk = new PreSharedKey(Buffer.from(TEXT))
    for (const shown of [
      String(psk),
      `${psk}`,
      JSON.stringify({ psk }),
      inspect(psk, { showHidden: true, depth: 9 }),
      inspect({ psk }),
      JSON.stringify(Object.entries(psk)),
    ]) {
      expect(shown).not.toContain(TEXT)
      expect(shown).not.toContain(hex(psk.ppk()))
    }
    expect(inspect({ psk })).toContain("[pre-shared key]")
  })

  test("the caller's bytes can be wiped, and a copy of the PPK too", () => {
    const bytes = Buffer.from(TEXT)
    const psk = new PreSharedKey(bytes)
    const before = hex(psk.pairSecret("x", "a", "b"))
    bytes.fill(0)
    expect(hex(psk.pairSecret("x", "a", "b"))).toBe(before)
    psk.ppk().fill(0)
    expect(hex(psk.ppk())).not.toBe("00".repeat(32))
    psk.wipe()
    expect(hex(psk.ppk())).toBe("00".repeat(32))
  })
})
