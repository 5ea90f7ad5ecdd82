import { describe, expect, test } from "bun:test"
import { PeerRefusedError, sign } from "./envelope.ts"
import { HostIdentity } from "./identity.ts"
import { openIdentity, sealIdentity } from "./identity_record.ts"
import { parsePsk } from "./psk.ts"

const identityOf = (byte: number) =>
  HostIdentity.create((bytes) => new Uint8Array(bytes).fill(byte))
const identity = identityOf(1)
const psk = parsePsk("p".repeat(32))
const place = { key: "/lariat/default/identities/h1", hostId: "h1", psk }

function refusal(text: string, where: Partial<typeof place> = {}): PeerRefusedError {
  try {
    openIdentity(text, { ...place, ...where })
  } catch (error) {
    if (error instanceof PeerRefusedError) return error
    throw error
  }
  throw new Error("it was taken")
}

describe("an identity record", () => {
  test("brings the key that it is signed with, and the number", () => {
    const text = sealIdentity(identity, { ...place, number: 7 })
    expect(openIdentity(text, place)).toEqual({ publicKey: identity.publicKey, number: 7 })
  })

  test("goes without a PSK where the cluster has none", () => {
    const text = sealIdentity(identity, { ...place, psk: undefined, number: 7 })
    expect(openIdentity(text, { ...place, psk: undefined }).number).toBe(7)
    expect(refusal(text).check).toBe("mac")
  })

  test("that names another's key is refused", () => {
    const body = { publicKey: identityOf(2).publicKey, number: 7 }
    expect(refusal(sign("identity", body, { ...place, sequence: 0, identity })).check).toBe(
      "signature",
    )
  })

  test.each([
    ["signature", { number: 7 }],
    ["signature", { publicKey: 5, number: 7 }],
    ["signature", null],
    ["identity", { publicKey: identity.publicKey }],
    ["identity", { publicKey: identity.publicKey, number: 0 }],
    ["identity", { publicKey: identity.publicKey, number: 65_536 }],
  ])("fails the check %s with %j", (check, body) => {
    expect(refusal(sign("identity", body, { ...place, sequence: 0, identity })).check).toBe(check)
  })

  test("of another host, place or cluster key is refused, and no envelope too", () => {
    const text = sealIdentity(identity, { ...place, number: 7 })
    expect(refusal(text, { hostId: "h2" }).check).toBe("host")
    expect(refusal(text, { key: "/lariat/default/identities/h2" }).check).toBe("key")
    expect(refusal(text, { psk: parsePsk("q".repeat(32)) }).check).toBe("mac")
    expect(refusal("").check).toBe("format")
  })
})
