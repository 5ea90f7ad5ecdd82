import { expect, test } from "bun:test"
import { type Cipher, encapsulate } from "./encapsulation.ts"

/** IV, ICV, block, and what is not padding: over IPv4, IPv4 + NAT-T, IPv6, IPv6 + NAT-T. */
const FIXED: [Cipher, number, number, number, number[]][] = [
  ["aes128gcm16", 8, 16, 4, [54, 62, 74, 82]],
  ["aes256gcm16", 8, 16, 4, [54, 62, 74, 82]],
  ["chacha20poly1305", 8, 16, 4, [54, 62, 74, 82]],
  ["aes128-sha1", 16, 12, 16, [58, 66, 78, 86]],
  ["aes128-sha256", 16, 16, 16, [62, 70, 82, 90]],
  ["aes256-sha512", 16, 32, 16, [78, 86, 98, 106]],
]

test.each(FIXED)(
  "%s has an IV of %d, an ICV of %d, blocks of %d",
  (cipher, iv, icv, block, sums) => {
    const cases = [
      [4, false],
      [4, true],
      [6, false],
      [6, true],
    ] as const
    for (const [i, [family, udp]] of cases.entries()) {
      const fixed = sums[i] ?? 0
      // Every phase of the padding: 0 to block - 1 bytes come on top of the fixed ones.
      const sizes = Array.from({ length: block }, (_, n) => 1000 + n)
      const all = sizes.map((outer) => encapsulate("ipsec", { outer, family, cipher, udp }))
      const extra = all.map(({ mtu }, n) => 1000 + n - mtu)
      expect(Math.min(...extra)).toBe(fixed)
      expect(Math.max(...extra)).toBe(fixed + block - 1)
      const bytes = new Map(all[0]?.parts.map((part) => [part.what, part.bytes]))
      expect(bytes.get(`ESP IV of ${cipher}`)).toBe(iv)
      expect(bytes.get(`ESP ICV of ${cipher}`)).toBe(icv)
    }
  },
)

test("headers that do not fit leave less than nothing", () => {
  expect(
    encapsulate("vxlan", { outer: 40, family: 4, cipher: "aes256gcm16", udp: false }).mtu,
  ).toBe(-10)
})
