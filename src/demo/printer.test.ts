import { expect, test } from "bun:test"
import { Printer } from "./printer.ts"

function told(color: boolean, tell: (say: Printer) => void): string[] {
  const lines: string[] = []
  tell(new Printer({ color, write: (line) => lines.push(line) }))
  return lines
}

test("steps, their times, notes and blocks", () => {
  const lines = told(false, (say) => {
    say.title("A title")
    say.done("quick", 1.234)
    say.done("slower", 123.4)
    say.done("slow", 12_345)
    say.done("no time")
    say.note("careful")
    say.section("On the cable", ["a frame"])
    say.block("lariat status", "one\n\ntwo\n")
    say.done("last")
  })
  expect(lines).toEqual([
    ...["", "A title", ""],
    "✓ quick  1.23 ms",
    "✓ slower  123 ms",
    "✓ slow  12.3 s",
    "✓ no time",
    "! careful",
    ...["", "On the cable", "  a frame", ""],
    ...["$ lariat status", "  one", "", "  two", ""],
    "✓ last",
  ])
})

test("a terminal gets colours around the same words", () => {
  const [line] = told(true, (say) => say.done("done", 5))
  expect(line).toBe("\u001b[32m✓\u001b[0m done\u001b[2m  5.00 ms\u001b[0m")
})
