import { expect, test } from "bun:test"
import fc from "fast-check"
import { encodeName, endsInName, hashLabels, nameText } from "./name.ts"
import { NameTable } from "./name_table.ts"

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,12}$/)
const text = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."))

function must(name: string): Uint8Array {
  const bytes = encodeName(name)
  if (bytes === undefined) throw new Error(`no name: ${name}`)
  return bytes
}

test("a name as bytes", () => {
  expect(must("Web.Default.").toHex()).toBe("037765620764656661756c74")
  expect(nameText(must("web.default"), 0, 12)).toBe("web.default")
})

test("what is no name", () => {
  for (const bad of ["", ".", "a..b", ".a", "x".repeat(64), `${"abcdefg.".repeat(32)}`]) {
    expect(encodeName(bad)).toBeUndefined()
  }
  expect(must("x".repeat(63))).toHaveLength(64)
})

test("the hash is without case, and goes on where it stopped", () => {
  fc.assert(
    fc.property(text, text, (first, second) => {
      const [a, b, both] = [must(first), must(second), must(`${first}.${second}`)]
      const raw = Buffer.from(both)
      for (const [at, byte] of raw.entries()) if (byte >= 0x61 && byte <= 0x7a) raw[at] = byte - 32
      const whole = hashLabels(both, 0, both.length)
      expect(hashLabels(b, 0, b.length, hashLabels(a, 0, a.length))).toBe(whole)
      expect(hashLabels(raw, 0, raw.length)).toBe(whole)
    }),
  )
})

test("a name ends in another at a label", () => {
  const zone = must("rancher.internal")
  const ends = (name: string) => endsInName(must(name), 0, must(name).length, zone)
  expect([ends("web.rancher.internal"), ends("Rancher.Internal")]).toEqual([true, true])
  expect([ends("notrancher.internal"), ends("internal"), ends("rancher.internal.x")]).toEqual([
    ...[false, false, false],
  ])
})

test("a table holds what was added and not deleted, found whole or with a suffix", () => {
  fc.assert(
    fc.property(fc.uniqueArray(text, { selector: (name) => name.toLowerCase() }), (names) => {
      const table = new NameTable<{ name: Uint8Array }>()
      const values = names.map((name) => ({ name: must(name) }))
      for (const value of values) table.add(value)
      for (const [index, value] of values.entries()) if (index % 2 === 0) table.delete(value)
      expect(table.size).toBe(Math.floor(values.length / 2))
      for (const [index, value] of values.entries()) {
        expect(table.get(value.name)).toBe(index % 2 === 0 ? undefined : value)
        const { name } = value
        const cut = 1 + (name[0] ?? 0)
        const hash = hashLabels(name, 0, name.length)
        const found = table.find(hash, name, 0, cut, name.subarray(cut))
        expect(found).toBe(index % 2 === 0 ? undefined : value)
      }
    }),
  )
})

test("names of one hash are told apart", () => {
  const table = new NameTable<{ name: Uint8Array }>()
  const [a, b] = [{ name: must("a") }, { name: must("b") }]
  const hash = hashLabels(a.name, 0, a.name.length)
  table.add(a)
  expect(table.find(hash, b.name, 0, b.name.length)).toBeUndefined()
})
