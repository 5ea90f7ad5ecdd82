import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { decodeSpi } from "../../../test/cluster_model/decode_spi.ts"
import { encodeSpi, type SpiParts } from "./spi.ts"

const parts: fc.Arbitrary<SpiParts> = fc.record({
  sender: fc.integer({ min: 1, max: 65_535 }),
  network: fc.nat(15),
  receiverGeneration: fc.integer({ min: 1, max: 1e9 }),
  senderGeneration: fc.integer({ min: 1, max: 1e9 }),
})

describe("an SPI", () => {
  test("has its parts where they belong", () => {
    const spi = encodeSpi({
      ...{ sender: 0xabcd, network: 5 },
      ...{ receiverGeneration: 64 + 3, senderGeneration: 9 },
    })
    expect(spi).toBe(0xabcd_50c9)
    expect(decodeSpi(spi)).toEqual({
      ...{ sender: 0xabcd, network: 5 },
      ...{ receiverGeneration: 3, senderGeneration: 9 },
    })
  })

  test("is never one that RFC 4303 reserves, and has 32 bits", () => {
    fc.assert(
      fc.property(parts, (each) => {
        const spi = encodeSpi(each)
        expect(spi).toBeGreaterThan(255)
        expect(spi).toBeLessThanOrEqual(0xffff_ffff)
        expect(Number.isInteger(spi)).toBe(true)
      }),
    )
    const least = { sender: 1, network: 0, receiverGeneration: 64, senderGeneration: 64 }
    expect(encodeSpi(least)).toBe(0x1_0000)
    const most = { sender: 65_535, network: 15, receiverGeneration: 63, senderGeneration: 63 }
    expect(encodeSpi(most)).toBe(0xffff_ffff)
  })

  test("is unique at its receiver while generations are less than 64 apart", () => {
    const few = fc.record({
      sender: fc.integer({ min: 1, max: 3 }),
      network: fc.nat(2),
      receiverGeneration: fc.integer({ min: 100, max: 163 }),
      senderGeneration: fc.integer({ min: 200, max: 263 }),
    })
    fc.assert(
      fc.property(fc.uniqueArray(few, { selector: (each) => JSON.stringify(each) }), (all) => {
        expect(new Set(all.map(encodeSpi)).size).toBe(all.length)
      }),
    )
  })

  test("comes back from what was made, as far as it says it", () => {
    fc.assert(
      fc.property(parts, (each) => {
        expect(decodeSpi(encodeSpi(each))).toEqual({
          ...each,
          receiverGeneration: each.receiverGeneration % 64,
          senderGeneration: each.senderGeneration % 64,
        })
      }),
    )
  })

  test.each([0, 255, 0xffff, -1, 2 ** 32, 1.5, Number.NaN])("%d is none of ours", (spi) => {
    expect(decodeSpi(spi)).toBeUndefined()
  })

  test.each([
    { sender: 0 },
    { sender: 65_536 },
    { network: 16 },
    { network: -1 },
    { receiverGeneration: 0 },
    { senderGeneration: 0.5 },
  ])("is not made of %j", (bad) => {
    const good = { sender: 1, network: 0, receiverGeneration: 1, senderGeneration: 1 }
    expect(() => encodeSpi({ ...good, ...bad })).toThrow(
      expect.objectContaining({ code: "internal" }),
    )
  })
})
