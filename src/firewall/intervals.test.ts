import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  type Address,
  compareAddresses,
  formatPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixContains,
} from "../core/address.ts"
import type { SetElement } from "../netlink/nftables/element.ts"
import { interfaceName } from "../netlink/nftables/expression.ts"
import { intervalElements, outermost, prefixTwice, prefixWith } from "./intervals.ts"

const prefixOf = (family: 4 | 6): fc.Arbitrary<Prefix> => {
  const size = family === 4 ? 4 : 16
  // Few values, so that prefixes meet and contain each other.
  const byte = fc.constantFrom(0, 1, 2, 10, 42, 128, 254, 255)
  return fc
    .tuple(fc.array(byte, { minLength: size, maxLength: size }), fc.nat(size * 8))
    .map(([bytes, length]) => ({ family, bytes: Uint8Array.from(bytes), length }))
}

/** What the kernel does: the last element at or below the key decides. */
function holds(elements: readonly SetElement[], { family, bytes }: Address): boolean {
  const order = (key: Uint8Array): number =>
    compareAddresses({ family, bytes: key }, { family, bytes })
  const below = elements.filter(({ key }) => order(key) <= 0)
  // Of two at one key, an interval that starts there outweighs one that ends there.
  const decisive = below.toSorted(
    (a, b) =>
      compareAddresses({ family, bytes: a.key }, { family, bytes: b.key }) ||
      Number(b.intervalEnd ?? false) - Number(a.intervalEnd ?? false),
  )
  const last = decisive.at(-1)
  return last !== undefined && last.intervalEnd !== true
}

describe("interval elements", () => {
  test.each([4, 6] as const)("hold exactly the IPv%d addresses of the prefixes", (family) => {
    fc.assert(
      fc.property(fc.array(prefixOf(family), { maxLength: 6 }), prefixOf(family), (list, probe) => {
        const elements = intervalElements(list)
        const probes = [
          probe,
          networkOf(probe),
          lastAddress(probe),
          ...list.flatMap((prefix) => [networkOf(prefix), lastAddress(prefix)]),
        ]
        for (const address of probes) {
          const wanted = list.some((prefix) => prefixContains(prefix, address))
          expect(holds(elements, address)).toBe(wanted)
        }
      }),
    )
  })

  test("never overlap: each key once", () => {
    fc.assert(
      fc.property(fc.array(prefixOf(4), { maxLength: 8 }), (list) => {
        const keys = intervalElements(list).map(({ key }) => key.toHex())
        expect(new Set(keys).size).toBe(keys.length)
        expect(keys.toSorted()).toEqual(keys)
      }),
    )
  })

  test("of everything are one element without an end", () => {
    expect(intervalElements([parsePrefix("0.0.0.0/0")])).toEqual([
      { key: new Uint8Array(4), open: true },
    ])
  })

  test("of neighbours are one interval", () => {
    const elements = intervalElements(["10.42.0.0/17", "10.42.128.0/17"].map(parsePrefix))
    expect(elements.map(({ key }) => key.toHex())).toEqual(["00000000", "0a2a0000", "0a2b0000"])
  })

  test("of nothing are none", () => {
    expect(intervalElements([])).toEqual([])
  })
})

test("outermost prefixes hold what all hold, and none holds another", () => {
  fc.assert(
    fc.property(fc.array(prefixOf(4), { maxLength: 8 }), (list) => {
      const kept = outermost(list)
      for (const prefix of list) {
        const around = kept.filter(
          (outer) => outer.length <= prefix.length && prefixContains(outer, prefix),
        )
        expect(around.length).toBe(1)
      }
      expect(new Set(kept.map(formatPrefix)).size).toBe(kept.length)
    }),
  )
})

describe("concatenations", () => {
  const prefix = parsePrefix("10.42.0.9/16")

  test("of a subnet and a bridge span the subnet, the bridge fixed", () => {
    const { key, keyEnd } = prefixWith(prefix, interfaceName("docker0"))
    const name = "646f636b657230000000000000000000"
    expect(key.toHex()).toBe(`0a2a0000${name}`)
    expect(keyEnd?.toHex()).toBe(`0a2affff${name}`)
  })

  test("of a subnet with itself span it twice", () => {
    const { key, keyEnd } = prefixTwice(prefix)
    expect(key.toHex()).toBe("0a2a00000a2a0000")
    expect(keyEnd?.toHex()).toBe("0a2affff0a2affff")
  })
})
