import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { LariatError } from "../errors.ts"
import { CIPHERS, type EncapLayer, type EspAlgorithm, packetSize } from "./encapsulation.ts"
import { overheadOf, stackOverhead } from "./overhead.ts"

const tunnel = (cipher: EspAlgorithm, udp = false): EncapLayer[] => [
  { kind: "esp", mode: "tunnel", cipher, udp },
]
const vxlanUnder = (cipher: EspAlgorithm): EncapLayer[] => [
  { kind: "esp", mode: "transport", cipher, udp: false },
  { kind: "vxlan" },
]
const vxlan: EncapLayer[] = [{ kind: "vxlan" }]
const geneve: EncapLayer[] = [{ kind: "geneve", options: 0 }]
const wireguard: EncapLayer[] = [{ kind: "wireguard" }]

const OUTER = [1500, 9000, 1450, 1420, 1280]

/** Largest inner packet in the order of OUTER: the kernel's formula (net/xfrm/xfrm_state.c). */
const LARGEST_INNER: [string, EncapLayer[], 4 | 6, number[]][] = [
  ["AES-128-GCM", tunnel("aes128gcm16"), 4, [1446, 8946, 1394, 1366, 1226]],
  ["AES-256-GCM", tunnel("aes256gcm16"), 4, [1446, 8946, 1394, 1366, 1226]],
  ["ChaCha20", tunnel("chacha20poly1305"), 4, [1446, 8946, 1394, 1366, 1226]],
  ["AES-CTR", tunnel("aes128ctr-sha256"), 4, [1446, 8946, 1394, 1366, 1226]],
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
  ["VXLAN under GCM16", vxlanUnder("aes256gcm16"), 4, [1416, 8916, 1364, 1336, 1196]],
  ["VXLAN under GCM16", vxlanUnder("aes256gcm16"), 6, [1396, 8896, 1344, 1316, 1176]],
  ["VXLAN under GCM8", vxlanUnder("aes128gcm8"), 4, [1424, 8924, 1372, 1344, 1204]],
]

describe("largest inner packet", () => {
  const cells = LARGEST_INNER.flatMap(([name, layers, family, sizes]) =>
    OUTER.map((outer, i) => [name, family, outer, sizes[i] ?? 0, layers] as const),
  )
  test.each(cells)("%s over IPv%d in %d is %d", (_name, family, outer, inner, layers) => {
    expect(stackOverhead(layers, { outer, family }).mtu).toBe(inner)
    expect(packetSize(layers, inner, family)).toBeLessThanOrEqual(outer)
    expect(packetSize(layers, inner + 1, family)).toBeGreaterThan(outer)
  })
})

const algorithm = fc.constantFrom<EspAlgorithm[]>(...CIPHERS, "aes128gcm8", "aes128ctr-sha256")
const layer: fc.Arbitrary<EncapLayer> = fc.oneof(
  fc.record({
    kind: fc.constant("esp" as const),
    mode: fc.constantFrom("tunnel" as const, "transport" as const),
    cipher: algorithm,
    udp: fc.boolean(),
  }),
  fc.constant({ kind: "vxlan" as const }),
  fc.record({
    kind: fc.constant("geneve" as const),
    options: fc.integer({ min: 0, max: 63 }).map((words) => 4 * words),
  }),
  fc.constant({ kind: "wireguard" as const }),
)
const family = fc.constantFrom(4 as const, 6 as const)

describe("any stack", () => {
  test("holds the inner packet and not one byte more, and its parts are the overhead", () => {
    const stack = fc.array(layer, { maxLength: 3 })
    fc.assert(
      fc.property(stack, family, fc.integer({ min: 1100, max: 65_535 }), (layers, f, outer) => {
        const { mtu, overhead, parts } = stackOverhead(layers, { outer, family: f })
        expect(mtu + overhead).toBe(outer)
        expect(parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(overhead)
        expect(parts.every((part) => part.bytes > 0)).toBe(true)
        expect(packetSize(layers, mtu, f)).toBeLessThanOrEqual(outer)
        expect(packetSize(layers, mtu + 1, f)).toBeGreaterThan(outer)
      }),
      { numRuns: 1000 },
    )
  })

  test("takes no less where there is one layer more", () => {
    fc.assert(
      fc.property(fc.array(layer, { maxLength: 2 }), layer, family, (layers, more, f) => {
        const options = { outer: 9000, family: f }
        const deeper = stackOverhead([...layers, more], options)
        expect(deeper.mtu).toBeLessThan(stackOverhead(layers, options).mtu)
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

  test("VXLAN under ESP line by line: the ESP stands behind the outer IP header", () => {
    const { parts } = stackOverhead(vxlanUnder("aes256gcm16"), { outer: 1500 })
    expect(parts.map((part) => [part.what.split(" (")[0], part.bytes])).toEqual([
      ["outer IPv4 header", 20],
      ["ESP header: SPI, sequence", 8],
      ["ESP IV of aes256gcm16", 8],
      ["UDP header", 8],
      ["VXLAN header", 8],
      ["inner Ethernet header", 14],
      ["ESP pad length, next header", 2],
      ["ESP ICV of aes256gcm16", 16],
    ])
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

  test("cipher and UDP change ipsec alone", () => {
    for (const cipher of CIPHERS) {
      const layers = tunnel(cipher, true)
      const wanted = stackOverhead(layers, { outer: 1500, family: 6 })
      expect(overheadOf("ipsec", { outer: 1500, cipher, udp: true, family: 6 })).toEqual(wanted)
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

  test.each([-4, 3, 256, Number.NaN])("Geneve options of %d bytes", (options) => {
    const run = (): unknown => stackOverhead([{ kind: "geneve", options }], { outer: 1500 })
    expect(codeOf(run)).toStartWith("config-invalid: ")
  })
})
