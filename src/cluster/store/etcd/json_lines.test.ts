import { expect, test } from "bun:test"
import fc from "fast-check"
import { LineSplitter } from "./json_lines.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

test("lines are the same however the stream is cut", () => {
  const line = fc
    .string({ unit: "grapheme", maxLength: 20 })
    .map((text) => text.replaceAll("\n", ""))
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(30)), (lines, cuts) => {
      const stream = bytes(lines.map((text) => `${text}\n`).join(""))
      const splitter = new LineSplitter(10_000)
      const found: string[] = []
      let at = 0
      for (const cut of [...cuts, stream.length]) {
        // The same memory each time, as a runtime may do.
        const chunk = stream.slice(at, at + cut)
        found.push(...splitter.push(chunk))
        chunk.fill(0x41)
        at += cut
      }
      found.push(...splitter.push(stream.slice(at)))
      const plain = new TextDecoder()
      expect(found).toEqual(
        lines.map((text) => plain.decode(bytes(text))).filter((text) => text !== ""),
      )
    }),
  )
})

test("what has no end yet is no line", () => {
  const splitter = new LineSplitter(100)
  expect(splitter.push(bytes("abc"))).toEqual([])
  expect(splitter.push(bytes("d\ne"))).toEqual(["abcd"])
})

test("a line of the limit passes, a longer one is refused before it ends", () => {
  const splitter = new LineSplitter(4)
  expect(splitter.push(bytes("abcd\n"))).toEqual(["abcd"])
  splitter.push(bytes("abcd"))
  expect(() => splitter.push(bytes("e"))).toThrow("more than 4 bytes")
})
