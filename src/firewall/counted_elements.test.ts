import { expect, test } from "bun:test"
import fc from "fast-check"
import { CountedElements, type PlacedElement } from "./counted_elements.ts"

const element = (set: string, byte: number): PlacedElement => [set, { key: Uint8Array.of(byte) }]
const bytesOf = (elements: readonly { readonly key: Uint8Array }[] | undefined) =>
  (elements ?? []).map(({ key }) => key[0]).toSorted()

test("an element stays as long as one owner wants it", () => {
  const all = new CountedElements()
  all.desired("n b", [element("s", 1), element("s", 2)])
  all.desired("n c", [element("s", 2)])
  expect(bytesOf(all.take().come.get("s"))).toEqual([1, 2])
  all.desired("n b", [])
  expect(bytesOf(all.take().gone.get("s"))).toEqual([1])
  expect(bytesOf(all.elements("s"))).toEqual([2])
  all.forget("n ")
  expect(bytesOf(all.take().gone.get("s"))).toEqual([2])
  expect(all.elements("s")).toEqual([])
})

test("what passes from one owner to another, or goes and comes back, is no change", () => {
  const all = new CountedElements()
  all.desired("n b", [element("s", 1)])
  all.take()
  const before = all.elements("s")
  all.desired("n c", [element("s", 1)])
  all.desired("n b", [])
  all.desired("n c", [])
  all.desired("n b", [element("s", 1)])
  const { gone, come } = all.take()
  expect([gone.size, come.size]).toEqual([0, 0])
  expect(all.elements("s")).toEqual(before)
  expect(all.elements("s")).toBe(all.elements("s"))
})

test("changes that are taken make of what was there what is wanted", () => {
  const placed = fc.tuple(fc.constantFrom("s", "t"), fc.nat(5))
  const step = fc.tuple(
    fc.constantFrom("a", "b", "c"),
    fc.array(placed, { maxLength: 4 }),
    fc.boolean(),
  )
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const all = new CountedElements()
      const kernel = { s: new Set<number>(), t: new Set<number>() }
      const wanted = new Map<string, readonly (readonly [string, number])[]>()
      const follow = () => {
        const { gone, come } = all.take()
        for (const set of ["s", "t"] as const) {
          for (const byte of bytesOf(gone.get(set)))
            expect(kernel[set].delete(byte ?? -1)).toBe(true)
          for (const byte of bytesOf(come.get(set))) {
            expect(kernel[set].has(byte ?? -1)).toBe(false)
            kernel[set].add(byte ?? -1)
          }
        }
      }
      for (const [owner, elements, isTaken] of steps) {
        wanted.set(owner, elements)
        all.desired(
          owner,
          elements.map(([set, byte]) => element(set, byte)),
        )
        if (isTaken) follow()
      }
      follow()
      for (const set of ["s", "t"] as const) {
        const want = [...wanted.values()]
          .flat()
          .flatMap(([name, byte]) => (name === set ? [byte] : []))
        expect([...kernel[set]].toSorted()).toEqual([...new Set(want)].toSorted())
        expect(bytesOf(all.elements(set))).toEqual([...new Set(want)].toSorted())
      }
    }),
  )
})
