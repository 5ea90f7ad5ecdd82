import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { LariatError } from "../errors.ts"
import { CIPHERS, type Cipher, ENCAPSULATIONS } from "./encapsulation.ts"
import { type OverheadOptions, overheadOf } from "./overhead.ts"
import { wasmCore } from "./wasm.ts"

type Case = [Parameters<typeof overheadOf>[0], Omit<OverheadOptions, "outer" | "family">]

const tunnel = (cipher: Cipher, udp = false): Case => ["ipsec", { cipher, udp }]
const vxlan: Case = ["vxlan", {}]
const geneve: Case = ["geneve", {}]
const wireguard: Case = ["wireguard", {}]

const OUTER = [1500, 9000, 1450, 1420, 1280]

/** Largest inner packet in the order of OUTER: the kernel's formula (net/xfrm/xfrm_state.c). */
const LARGEST_INNER: [string, Case, 4 | 6, number[]][] = [
  ["AES-128-GCM", tunnel("aes128gcm16"), 4, [1446, 8946, 1394, 1366, 1226]],
  ["AES-256-GCM", tunnel("aes256gcm16"), 4, [1446, 8946, 1394, 1366, 1226]],
  ["ChaCha20", tunnel("chacha20poly1305"), 4, [1446, 8946, 1394, 1366, 1226]],
  ["AES-128-GCM + NAT-T", tunnel("aes128gcm16", true), 4, [1438, 8938, 1386, 1358, 1218]],
  ["AES-256-GCM + NAT-T", tunnel("aes256gcm16", true), 4, [1438, 8938, 1386, 1358, 1218]],
  ["ChaCha20 + NAT-T", tunnel("chacha20poly1305", true), 4, [1438, 8938, 1386, 1358, 1218]],
  ["AES-128-GCM", tunnel("aes128gcm16"), 6, [1426, 8926, 1374, 1346, 1206]],
  ["AES-256-GCM", tunnel("aes256gcm16"), 6, [1426, 8926, 1374, 1346, 1206]],
  ["ChaCha20", tunnel("chacha20poly1305"), 6, [1426, 8926, 1374, 1346, 1206]],
  ["AES-128-GCM + NAT-T", tunnel("aes128gcm16", true), 6, [1418, 8918, 1366, 1338, 1198]],
  ["AES-256-GCM + NAT-T", tunnel("aes256gcm16", true), 6, [1418, 8918, 1366, 1338, 1198]],
  ["ChaCha20 + NAT-T", tunnel("chacha20poly1305", true), 6, [1418, 8918, 1366, 1338, 1198]],
  ["CBC+SHA1", tunnel("aes128-sha1"), 4, [1438, 8942, 1390, 1358, 1214]],
  ["CBC+SHA1 + NAT-T", tunnel("aes128-sha1", true), 4, [1422, 8926, 1374, 1342, 1214]],
  ["CBC+SHA1", tunnel("aes128-sha1"), 6, [1422, 8910, 1358, 1342, 1198]],
  ["CBC+SHA1 + NAT-T", tunnel("aes128-sha1", true), 6, [1406, 8910, 1358, 1326, 1182]],
  ["CBC+SHA256", tunnel("aes128-sha256"), 4, [1438, 8926, 1374, 1358, 1214]],
  ["CBC+SHA256 + NAT-T", tunnel("aes128-sha256", true), 4, [1422, 8926, 1374, 1342, 1198]],
  ["CBC+SHA256", tunnel("aes128-sha256"), 6, [1406, 8910, 1358, 1326, 1198]],
  ["CBC+SHA256 + NAT-T", tunnel("aes128-sha256", true), 6, [1406, 8910, 1358, 1326, 1182]],
  ["VXLAN", vxlan, 4, [1450, 8950, 1400, 1370, 1230]],
  ["Geneve", geneve, 4, [1450, 8950, 1400, 1370, 1230]],
  ["VXLAN", vxlan, 6, [1430, 8930, 1380, 1350, 1210]],
  ["Geneve", geneve, 6, [1430, 8930, 1380, 1350, 1210]],
  ["WireGuard", wireguard, 4, [1440, 8940, 1390, 1360, 1220]],
  ["WireGuard", wireguard, 6, [1420, 8920, 1370, 1340, 1200]],
]

describe("largest inner packet", () => {
  const cells = LARGEST_INNER.flatMap(([name, encapsulation, family, sizes]) =>
    OUTER.map((outer, i) => [name, family, outer, sizes[i] ?? 0, encapsulation] as const),
  )
  test.each(cells)("%s over IPv%d in %d is %d", (_name, family, outer, inner, [kind, options]) => {
    expect(overheadOf(kind, { ...options, outer, family }).mtu).toBe(inner)
  })
})

describe("any encapsulation", () => {
  const options = fc.record({
    outer: fc.integer({ min: 200, max: 65_535 }),
    family: fc.constantFrom(4 as const, 6 as const),
    cipher: fc.constantFrom(...CIPHERS),
    udp: fc.boolean(),
  })

  test("its parts are the overhead", () => {
    fc.assert(
      fc.property(fc.constantFrom(...ENCAPSULATIONS), options, (kind, given) => {
        const { mtu, overhead, parts } = overheadOf(kind, given)
        expect(mtu + overhead).toBe(given.outer)
        expect(parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(overhead)
        expect(parts.every((part) => part.bytes > 0)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test("ESP holds the inner packet and not one byte more", () => {
    const core = wasmCore()
    // By the cipher's number: the same for both AES-GCM.
    const codes = [
      core.AES_GCM_16,
      core.CHACHA20_POLY1305,
      core.AES_CBC_SHA1_96,
      core.AES_CBC_SHA256_128,
      core.AES_CBC_SHA512_256,
    ].map(({ value }) => value)
    fc.assert(
      fc.property(fc.constantFrom(...codes), options, (code, { outer, family, udp }) => {
        const inner = core.espTunnelInner(outer, code, family, Number(udp))
        expect(core.espTunnelOuter(inner, code, family, Number(udp))).toBeLessThanOrEqual(outer)
        expect(core.espTunnelOuter(inner + 1, code, family, Number(udp))).toBeGreaterThan(outer)
      }),
    )
  })
})

describe("drivers", () => {
  test("ipsec line by line, in the order of the wire", () => {
    const { overhead, mtu, parts } = overheadOf("ipsec", { outer: 1450, family: 6, udp: true })
    expect(parts).toEqual([
      { what: "outer IPv6 header (RFC 8200 §3)", bytes: 40 },
      { what: "UDP header (RFC 768)", bytes: 8 },
      { what: "ESP header: SPI, sequence (RFC 4303 §2)", bytes: 8 },
      { what: "ESP IV of aes256gcm16", bytes: 8 },
      { what: "ESP pad length, next header (RFC 4303 §2)", bytes: 2 },
      { what: "ESP ICV of aes256gcm16", bytes: 16 },
      { what: "ESP payload is whole blocks of 4 (RFC 4303 §2.4)", bytes: 2 },
    ])
    expect([overhead, mtu]).toEqual([84, 1366])
  })

  test.each([
    ["ipsec", 1446],
    ["vxlan", 1450],
    ["geneve", 1450],
    ["wireguard", 1440],
    ["routed", 1500],
    ["none", 1500],
  ] as const)("%s leaves %d of 1500", (driver, mtu) => {
    expect(overheadOf(driver, { outer: 1500 }).mtu).toBe(mtu)
  })

  test("cipher and UDP change nothing of the others", () => {
    for (const cipher of CIPHERS) {
      const plain = overheadOf("wireguard", { outer: 1500, cipher, udp: true })
      expect(plain).toEqual(overheadOf("wireguard", { outer: 1500 }))
    }
  })

  test("an MTU beyond the largest packet, as the loopback has, counts as the largest packet", () => {
    expect(overheadOf("none", { outer: 65_536 })).toEqual({
      overhead: 1,
      mtu: 65_535,
      parts: [{ what: "beyond the largest IP packet (RFC 791 §3.1)", bytes: 1 }],
    })
    expect(overheadOf("vxlan", { outer: 65_536 }).mtu).toBe(65_485)
  })
})

describe("refusals", () => {
  const codeOf = (run: () => unknown): string => {
    try {
      run()
    } catch (error) {
      if (error instanceof LariatError) return `${error.code}: ${error.message}`
      throw error
    }
    return "accepted"
  }

  test.each([Number.NaN, 0, -1500, 1500.5, Infinity])("an outer MTU of %d", (outer) => {
    expect(codeOf(() => overheadOf("ipsec", { outer }))).toStartWith("config-invalid: ")
  })

  test("less than 68 bytes left", () => {
    const smallest = 68 + 50
    expect(overheadOf("vxlan", { outer: smallest }).mtu).toBe(68)
    const less = codeOf(() => overheadOf("vxlan", { outer: smallest - 1 }))
    expect(less).toStartWith("mtu-too-small: ")
    expect(less).toContain("leaves 67 bytes")
    expect(codeOf(() => overheadOf("ipsec", { outer: 40 }))).toContain("not even hold the headers")
  })
})
