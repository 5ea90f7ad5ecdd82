import { expect, test } from "bun:test"
import fc from "fast-check"
import { formatPrefix } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { Masquerades, parseMasquerade } from "./masquerades.ts"

const entry = fc
  .tuple(fc.nat(3), fc.nat(3), fc.constantFrom("", "/8", "/16", "/24"))
  .map(([a, b, length]) => parseMasquerade(`10.${a}.0.${b}${length}`))

const text = (all: Masquerades): string =>
  [...all.addresses, "–", ...all.subnets]
    .map((prefix) => (typeof prefix === "string" ? prefix : formatPrefix(prefix)))
    .toSorted()
    .join(" ")

test("every change can be undone", () => {
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 8 }),
      fc.array(fc.tuple(fc.boolean(), entry), { maxLength: 8 }),
      (start, steps) => {
        const all = new Masquerades(start)
        const before = text(all)
        const undos = steps.map(([add, one]) => (add ? all.add(one) : all.remove(one)))
        for (const undo of undos.toReversed()) undo()
        expect(text(all)).toBe(before)
      },
    ),
  )
})

test("an address has the subnet it was given last", () => {
  const all = new Masquerades(["10.0.0.1/8", "10.0.0.1/16"].map(parseMasquerade))
  expect(all.addresses.map(formatPrefix)).toEqual(["10.0.0.1/16"])
  expect(all.subnets.map(formatPrefix)).toEqual(["10.0.0.0/16"])
})

test("a subnet stays while one of its addresses does", () => {
  const all = new Masquerades(["10.0.0.1/16", "10.0.0.2/16"].map(parseMasquerade))
  all.remove(parseMasquerade("10.0.0.1"))
  expect(all.subnets.map(formatPrefix)).toEqual(["10.0.0.0/16"])
  all.remove(parseMasquerade("10.0.0.2"))
  expect(all.subnets).toEqual([])
})

test("an address alone is its own subnet, and what is no address is refused", () => {
  expect(formatPrefix(parseMasquerade("10.0.0.1"))).toBe("10.0.0.1/32")
  expect(formatPrefix(parseMasquerade("fd00::1"))).toBe("fd00::1/128")
  expect(() => parseMasquerade("10.0.0.1/33")).toThrow(LariatError)
  expect(() => parseMasquerade("host")).toThrow(LariatError)
})
