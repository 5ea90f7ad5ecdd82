import { expect, test } from "bun:test"
import fc from "fast-check"
import {
  type EncapLayer,
  type EspAlgorithm,
  espBlock,
  frameOf,
  innerSize,
  packetSize,
} from "./encapsulation.ts"
import { wasmCore } from "./wasm.ts"

/** IV, ICV, block, and what is not padding: over IPv4, IPv4 + NAT-T, IPv6, IPv6 + NAT-T. */
const FIXED: [EspAlgorithm, number, number, number, number[]][] = [
  ["aes128gcm16", 8, 16, 4, [54, 62, 74, 82]],
  ["aes256gcm16", 8, 16, 4, [54, 62, 74, 82]],
  ["aes128gcm8", 8, 8, 4, [46, 54, 66, 74]],
  ["chacha20poly1305", 8, 16, 4, [54, 62, 74, 82]],
  ["aes128-sha1", 16, 12, 16, [58, 66, 78, 86]],
  ["aes128-sha256", 16, 16, 16, [62, 70, 82, 90]],
  ["aes256-sha512", 16, 32, 16, [78, 86, 98, 106]],
  ["aes128ctr-sha256", 8, 16, 4, [54, 62, 74, 82]],
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
      const layer: EncapLayer = { kind: "esp", mode: "tunnel", cipher, udp }
      const fixed = sums[i] ?? 0
      // Every phase of the padding: 0 to block - 1 bytes come on top of the fixed ones.
      const extra = Array.from(
        { length: block },
        (_, n) => packetSize([layer], 200 + n, family) - 200 - n,
      )
      expect(Math.min(...extra)).toBe(fixed)
      expect(Math.max(...extra)).toBe(fixed + block - 1)
      const { before, after } = frameOf(wasmCore(), layer, family)
      expect([before.at(-1)?.bytes, after.at(-1)?.bytes]).toEqual([iv, icv])
      expect(espBlock(wasmCore(), cipher)).toBe(block)
    }
  },
)

test("transport mode keeps the packet's own IP header outside", () => {
  const esp = { kind: "esp", cipher: "aes128-sha1", udp: false } as const
  const size = fc.integer({ min: 100, max: 9000 })
  fc.assert(
    fc.property(size, fc.constantFrom(4 as const, 6 as const), (outer, family) => {
      const header = family === 4 ? 20 : 40
      const tunnel = innerSize(wasmCore(), { ...esp, mode: "tunnel" }, family, outer)
      const transport = innerSize(wasmCore(), { ...esp, mode: "transport" }, family, outer)
      expect(transport).toBe(tunnel + header)
    }),
  )
})

test("Geneve's options come on top", () => {
  expect(packetSize([{ kind: "geneve", options: 12 }], 1400, 4)).toBe(1400 + 50 + 12)
})

test("WireGuard pads to 16, but never past the MTU of its interface", () => {
  const core = wasmCore()
  expect(core.wireguardOuter(1, 4, 1420)).toBe(60 + 16)
  expect(core.wireguardOuter(16, 4, 1420)).toBe(60 + 16)
  expect(core.wireguardOuter(1417, 6, 1420)).toBe(80 + 1420)
  expect(core.wireguardOuter(1420, 6, 1420)).toBe(80 + 1420)
})
