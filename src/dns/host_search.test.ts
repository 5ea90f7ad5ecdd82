import { expect, test } from "bun:test"
import { candidatesOf } from "./host_search.ts"
import { encodeName } from "./name.ts"
import { HEADER_BYTES, TYPE_A, TYPE_AAAA } from "./wire.ts"

const DOMAINS = ["corp.example", "lab.example"]

/** What is asked for a question, the name itself as undefined. */
function askedFor(name: string, type: number, alias?: string) {
  const labels = encodeName(name) ?? new Uint8Array(0)
  const bytes = new Uint8Array(HEADER_BYTES + labels.length + 5)
  bytes.set(labels, HEADER_BYTES)
  const nameEnd = HEADER_BYTES + labels.length
  const flags = { flags: 0, hasEdns: false, wantsDnssec: false, limit: 512 }
  const asked = { bytes, nameEnd, questionEnd: nameEnd + 5, type, alias, ...flags }
  return candidatesOf(asked, DOMAINS).map((one) => one.alias)
}

test("one label is asked with each domain, then as it is", () => {
  const all = ["printer.corp.example", "printer.lab.example", undefined]
  expect(askedFor("printer", TYPE_A)).toEqual(all)
  expect(askedFor("PRINTER", TYPE_AAAA)).toEqual(all)
})

test("a name with a dot, the root, an alias and other types are asked as they are", () => {
  const MX = 15
  expect(askedFor("printer.example", TYPE_A)).toEqual([undefined])
  expect(askedFor("", TYPE_A)).toEqual([undefined])
  expect(askedFor("printer", MX)).toEqual([undefined])
  expect(askedFor("printer", TYPE_A, "elsewhere")).toEqual(["elsewhere"])
})
